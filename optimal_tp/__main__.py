"""The load generator's commands. Each is imported only when it is asked for, so that the first request leaves soon."""

import argparse
import importlib
import signal
import sys
import types
import typing

from optimal_tp.errors import OptimalTpError

COMMANDS = {
    "load": ("optimal_tp.cli.load", "one load on one server, as JSON and as a summary"),
    "run": ("optimal_tp.cli.run", "the whole experiment against servers of your own"),
    "share": ("optimal_tp.cli.share", "one process's share of an experiment that several run together"),
    "sweep": ("optimal_tp.cli.sweep", "the same for several models, one after the other"),
}
"""Name to module and one line of help. A module has ``configure(parser)`` and ``main(arguments) -> exit status``."""


def _leave(number: int, frame: types.FrameType | None) -> typing.NoReturn:  # noqa: ARG001 - signal's signature
    """End a load that has not begun: nothing was sent, so there is nothing to finish or to keep."""
    sys.stderr.write(f"{signal.Signals(number).name} before the load began; nothing was sent\n")
    raise SystemExit(0 if number == signal.SIGTERM else 128 + number)


def main(words: list[str]) -> int:
    """Run the command in ``words``; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m optimal_tp", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, line) in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=line)
        if name in words[:1]:
            importlib.import_module(module).configure(command)
    arguments = parser.parse_args(words)
    try:
        status: int = importlib.import_module(COMMANDS[arguments.command][0]).main(arguments)
    except OptimalTpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return status


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:  # the other commands have no load under way for long, and end as interrupted
        for early in (signal.SIGTERM, signal.SIGINT):
            signal.signal(early, _leave)
    sys.exit(main(sys.argv[1:]))
