"""The load generator's commands. Each is imported only when it is asked for, so that the first request leaves soon."""

import argparse
import importlib
import sys

from infra.errors import OptimalTpError

COMMANDS = {
    "load": ("workloads.loadgen.load", "one load on one server, as JSON and as a summary"),
    "run": ("workloads.loadgen.run", "the whole experiment against servers of your own"),
    "share": ("workloads.loadgen.share", "one process's share of an experiment that several run together"),
    "sweep": ("workloads.loadgen.sweep", "the same for several models, one after the other"),
}
"""Name to module and one line of help. A module has ``configure(parser)`` and ``main(arguments) -> exit status``."""


def main(words: list[str]) -> int:
    """Run the command in ``words``; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m workloads.loadgen", description=__doc__)
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
    sys.exit(main(sys.argv[1:]))
