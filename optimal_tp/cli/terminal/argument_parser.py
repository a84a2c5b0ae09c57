"""The parser of the command line: one-sentence errors that suggest the likely word, grouped help with examples."""

import argparse
import functools
import importlib
import re
import sys
import typing

from optimal_tp.cli import COMMANDS, Group, module_of
from optimal_tp.cli.terminal import output
from optimal_tp.errors import Exit, likely

PROG: typing.Final = "optimal-tp"
_CHOICE = re.compile(r"argument (?P<name>.+?): invalid choice: (?P<value>'.*'|\S+) \(choose from (?P<known>.+)\)$")
_NEEDED = re.compile(r"the following arguments are required: (?P<names>.+)$")
_ONE_OF = re.compile(r"one of the arguments (?P<names>.+) is required$")
_TYPE = re.compile(r"argument (?P<name>.+?): invalid (?P<type>\w+) value: (?P<value>.+)$")
_WIDEST = 100
"""Widest help, in columns."""
_KINDS = {"int": "a whole number", "float": "a number", "rate": "a number, or one with its unit: 5/s, 300/min or 2e6/h"}


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors name the option, the rule, the value and the likely word."""

    def __init__(self, **settings: typing.Any) -> None:  # noqa: ANN401 - as argparse takes them
        """Accept only full names of options: an abbreviation that is unique today may not be tomorrow."""
        settings.setdefault("formatter_class", functools.partial(argparse.RawDescriptionHelpFormatter, width=_width()))
        super().__init__(allow_abbrev=False, conflict_handler="resolve", **settings)

    def error(self, message: str) -> typing.NoReturn:
        """Print one sentence and end with the status of bad input."""
        sys.stderr.write(f"{self.prog}: {sentence(message)}\nTry: {self.prog} --help\n")
        raise SystemExit(Exit.BAD_INPUT)


def sentence(message: str) -> str:
    """Return argparse's ``message`` in the style of our other errors."""
    if found := _CHOICE.match(message):
        known = [each.strip("'\"") for each in found["known"].split(", ")]
        value = found["value"].strip("'")
        return f"{found['name']} must be one of {', '.join(known)} (got '{value}'){_meant(value, known)}"
    if found := _TYPE.match(message):
        return f"{found['name']} must be {_KINDS.get(found['type'], found['type'])} (got {found['value']})"
    if found := _NEEDED.match(message):
        return f"{found['names']} must be given"
    if found := _ONE_OF.match(message):
        return f"one of {found['names']} must be given"
    return message.removeprefix("argument ")


def _meant(word: str, known: typing.Iterable[str]) -> str:
    found = likely(word, known)
    return "" if found is None else f"; did you mean '{found}'?"


def _width() -> int:
    import shutil  # noqa: PLC0415 - only help needs it

    return min(shutil.get_terminal_size().columns, _WIDEST) - 2


class _Version(argparse.Action):
    """Looks up the version only when needed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> typing.NoReturn:
        sys.stdout.write(f"{PROG} {version()}\n")
        parser.exit()


def version() -> str:
    """Return the installed version; code without package metadata, as in pods, says so."""
    import importlib.metadata  # noqa: PLC0415 - it takes longer than all of help

    try:
        return importlib.metadata.version("optimal-tp")
    except importlib.metadata.PackageNotFoundError:
        return "not installed (run from a clone)"


class _Top(CommandParser):
    """The parser above the commands, whose help shows them in groups."""

    def format_help(self) -> str:
        """Return the list of commands by group, then the options."""
        groups: dict[Group, list[str]] = {}
        for name, command in COMMANDS.items():
            if not command.is_internal:
                groups.setdefault(command.group, []).append(f"  {name:<12}{command.line}")
        lists = "\n\n".join("\n".join((f"{group}:", *lines)) for group, lines in groups.items())
        options = super().format_help().partition("\noptions:\n")[2]
        return f"{_HEAD}\n\n{lists}\n\nOptions:\n{options}\n{_FOOT}\n"


_HEAD = f"""usage: {PROG} COMMAND [options]

Find the tensor-parallel degree that serves your model cheapest on AWS Trainium2. Measured, not guessed."""
_FOOT = f"""Examples:
  {PROG} local --profile quick          a first verdict on this machine, on CPU cores
  {PROG} init --stack mine              a stack file for AWS
  {PROG} report --open                  the report of the newest local run, in the browser

{PROG} COMMAND --help shows a command's options, its exit status and an example."""


def top() -> argparse.ArgumentParser:
    """Return the parser of the words before a command."""
    parser = _Top(prog=PROG)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    output.configure(parser)
    return parser


def parser_of(name: str) -> CommandParser:
    """Return the parser of the command ``name``; this imports its module."""
    module = importlib.import_module(module_of(name))
    head, examples = _described(module.__doc__ or "")
    parser = CommandParser(prog=f"{PROG} {name}", description=head, epilog=examples)
    output.configure(parser)
    module.configure(parser)
    return parser


def _described(text: str) -> tuple[str, str]:
    """Split a module's docstring into the text before the options and the examples after them."""
    head, mark, examples = text.partition("Example: ")
    return head.strip(), f"Example:\n  {examples.strip()}" if mark else ""


def asked(words: typing.Sequence[str]) -> argparse.Namespace:
    """Return the command in ``words`` (``command``) and its options. Ends the process as argparse does."""
    position = next((index for index, word in enumerate(words) if not word.startswith("-")), len(words))
    before, unknown = top().parse_known_args(words[:position])  # --help and --version end here
    if unknown:
        top().error(_unknown(unknown, top()))
    if position == len(words):
        top().print_help()
        raise SystemExit(Exit.BAD_INPUT)
    name = words[position]
    if name not in COMMANDS:
        known = [each for each, command in COMMANDS.items() if not command.is_internal]
        top().error(f"no command '{name}'{_meant(name, known)}")
    parser = parser_of(name)
    found, unknown = parser.parse_known_args(words[position + 1 :], argparse.Namespace(**vars(before)))
    if unknown:
        parser.error(_unknown(unknown, parser))
    found.command = name
    return found


def _unknown(words: typing.Sequence[str], parser: argparse.ArgumentParser) -> str:
    word = next((each for each in words if each.startswith("-")), words[0])
    if not word.startswith("-"):
        return f"no argument '{word}' is expected here"
    name = word.partition("=")[0]
    return f"no option {name}{_meant(name, options_of(parser))}"


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """Return the long options of ``parser`` and of the parsers below it."""
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way
        found += [each for each in action.option_strings if each.startswith("--") and action.help != argparse.SUPPRESS]
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            found += [each for below in action.choices.values() for each in options_of(below)]
    return list(dict.fromkeys(found))


def choices_of(parser: argparse.ArgumentParser) -> list[str]:
    """Return the words that the arguments of ``parser`` allow: its subcommands, and choices without a dash."""
    found: list[str] = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way
        if action.choices is not None and not action.option_strings:
            found += [str(each) for each in action.choices]
    return found


def subparsers_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers below ``parser``, by their subcommand."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            found |= action.choices
    return found
