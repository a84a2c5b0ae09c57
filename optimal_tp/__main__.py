"""The command ``optimal-tp``. A command's module is imported only when it is asked for."""

import argparse
import dataclasses
import functools
import importlib
import importlib.metadata
import signal
import sys
import types
import typing

from optimal_tp.errors import OptimalTpError, SettingsError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """One command: its line of help, and whether only programs ask for it."""

    line: str
    is_internal: bool = False


COMMANDS = {
    "local": Command(line="run the whole experiment on this machine"),
    "run": Command(line="run the experiment against servers of your own"),
    "sweep": Command(line="run the experiment for several models, one after the other"),
    "load": Command(line="put one load on one server; write JSON and a summary"),
    "report": Command(line="show the verdict of a stored run or sweep and write its report"),
    "compare": Command(line="compare two stored runs"),
    "plan": Command(line="plan the fleet that carries a rate within a latency limit"),
    "predict": Command(line="predict what each degree carries at most, by the roofline, before anything runs"),
    "preflight": Command(line="ask AWS what would go wrong before a stack is made"),
    "watch": Command(line="follow a run in the cluster"),
    "leftovers": Command(line="list what a destroyed stack left behind, what it costs, and remove it"),
    "share": Command(line="one pod's share of a run that several pods make together", is_internal=True),
    "reference": Command(line="print what the documents and schemas are made of", is_internal=True),
}
"""By name; ``optimal_tp.cli.<name>`` has ``configure(parser)`` and ``main(arguments) -> exit status``."""


_LOCAL = frozenset({"moto", "psutil", "tokenizers"})
"""Libraries of the extra ``local`` (pyproject.toml)."""


def _leave(number: int, frame: types.FrameType | None) -> typing.NoReturn:  # noqa: ARG001 - signal's signature
    """End a load that has not begun: nothing was sent, so there is nothing to finish or to keep."""
    sys.stderr.write(f"{signal.Signals(number).name} before the load began; nothing was sent\n")
    raise SystemExit(0 if number == signal.SIGTERM else 128 + number)


def version() -> str:
    """Return the installed version; code that travels into pods without its metadata says so."""
    try:
        return importlib.metadata.version("optimal-tp")
    except importlib.metadata.PackageNotFoundError:
        return "not installed (run from its source)"


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> typing.NoReturn:
        sys.stdout.write(f"optimal-tp {version()}\n")
        parser.exit()


def parsers(asked: str | None) -> argparse.ArgumentParser:
    """Return the parser of every command, of which only ``asked`` knows its options."""
    parser = argparse.ArgumentParser(
        prog="optimal-tp",
        description="Find the tensor-parallel degree that serves your model best. Measured, not guessed.",
        epilog="optimal-tp COMMAND --help shows a command's options.",
        formatter_class=functools.partial(argparse.HelpFormatter, max_help_position=16),
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        if name == asked:
            module = importlib.import_module(f"optimal_tp.cli.{name}")
            own = commands.add_parser(
                name,
                help=command.line,
                description=module.__doc__,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            module.configure(own)
        elif not command.is_internal:
            commands.add_parser(name, help=command.line)
    return parser


def main(words: list[str] | None = None) -> int:
    """Run the command in ``words``, by default those of the command line; return the exit status."""
    if words is None:
        words = sys.argv[1:]
        if words[:1] == ["load"]:  # the other commands have no load under way for long, and end as interrupted
            for early in (signal.SIGTERM, signal.SIGINT):
                signal.signal(early, _leave)
    asked = words[0] if words and words[0] in COMMANDS else None
    try:
        arguments = parsers(asked).parse_args(words)
        status: int = importlib.import_module(f"optimal_tp.cli.{arguments.command}").main(arguments)
    except OptimalTpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except ModuleNotFoundError as missing:
        if missing.name not in _LOCAL:
            raise
        sys.stderr.write(f"optimal-tp {asked} needs {missing.name}: pip install 'optimal-tp[local]'\n")
        return SettingsError.exit_status
    return status


if __name__ == "__main__":
    sys.exit(main())
