"""A command as the program runs it, with AWS clients of a test's own."""

import argparse
import sys
import types

from optimal_tp.account.inquiry import Clients
from optimal_tp.cli.terminal import output
from optimal_tp.errors import OptimalTpError


def asked(command: types.ModuleType, words: list[str], make: Clients | None = None) -> int:
    """Run ``command`` with ``words``; an error is said and gives its exit status, as in ``optimal_tp.__main__``."""
    parser = argparse.ArgumentParser(prog="optimal-tp")
    output.configure(parser)
    command.configure(parser)
    try:
        status: int = command.main(parser.parse_args(words), make)
    except OptimalTpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return status
