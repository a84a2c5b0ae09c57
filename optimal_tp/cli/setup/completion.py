"""Print the script that completes commands and options in your shell.

Exit status: 0 printed, 2 an unknown shell.
Example: optimal-tp completion bash > ~/.local/share/bash-completion/completions/optimal-tp
  optimal-tp completion zsh > "${fpath[1]}/_optimal-tp"
  optimal-tp completion fish > ~/.config/fish/completions/optimal-tp.fish
"""

import argparse
import collections.abc
import json
import sys
import typing

from optimal_tp.cli import COMMANDS
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.argument_parser import PROG, choices_of, options_of, parser_of

SHELLS: typing.Final = ("bash", "zsh", "fish")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def main(options: argparse.Namespace) -> int:
    """Print the script; with ``--json`` the words that it completes, by command."""
    if output.is_json(options):
        sys.stdout.write(json.dumps(words(), indent=1) + "\n")
        return 0
    makers = {"bash": bash, "zsh": zsh, "fish": fish}
    sys.stdout.write(makers[options.shell](words()))
    return 0


def words() -> dict[str, tuple[str, ...]]:
    """Return the words that may follow each public command: subcommands and choices first, then options."""
    found = {}
    for name, command in COMMANDS.items():
        if not command.is_internal:
            parser = parser_of(name)
            found[name] = (*choices_of(parser), *options_of(parser), "--help")
    return found


def bash(known: collections.abc.Mapping[str, tuple[str, ...]]) -> str:
    """Return the script for bash: commands first, then options, and files if nothing else fits."""
    cases = "\n".join(f'    {name}) known="{" ".join(each)}" ;;' for name, each in known.items())
    return f"""# bash completion of {PROG}; made by {PROG} completion bash
_optimal_tp() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" command="" each known
  for each in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$each" in -*) ;; *) command="$each"; break ;; esac
  done
  case "$command" in
    "") known="{" ".join(known)} --help --version" ;;
{cases}
  esac
  COMPREPLY=($(compgen -W "$known" -- "$word"))
}}
complete -o default -F _optimal_tp {PROG}
"""


def zsh(known: collections.abc.Mapping[str, tuple[str, ...]]) -> str:
    """Return the script for zsh."""
    listed = "\n".join(f"    '{name}:{_plain(COMMANDS[name].line)}'" for name in known)
    cases = "\n".join(f"    {name}) compadd -- {' '.join(each)} ;;" for name, each in known.items())
    return f"""#compdef {PROG}
# zsh completion of {PROG}; made by {PROG} completion zsh
_optimal_tp() {{
  local -a commands
  commands=(
{listed}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "$words[2]" in
{cases}
  esac
  _files
}}
compdef _optimal_tp {PROG}
"""


def fish(known: collections.abc.Mapping[str, tuple[str, ...]]) -> str:
    """Return the script for fish."""
    start = f"complete -c {PROG}"
    first = [f"{start} -n __fish_use_subcommand -f -a {name} -d '{_plain(COMMANDS[name].line)}'" for name in known]
    below = [
        f"{start} -n '__fish_seen_subcommand_from {name}' {f'-l {word[2:]}' if word.startswith('--') else f'-a {word}'}"
        for name, each in known.items()
        for word in each
    ]
    return "\n".join([f"# fish completion of {PROG}; made by {PROG} completion fish", *first, *below]) + "\n"


def _plain(text: str) -> str:
    return text.replace("'", "").replace(":", "")
