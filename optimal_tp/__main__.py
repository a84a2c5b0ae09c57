"""The command ``optimal-tp``. A command's module is imported only when it is asked for."""

import importlib
import signal
import sys
import types
import typing

from optimal_tp.cli import module_of
from optimal_tp.cli.terminal import argument_parser, output
from optimal_tp.errors import Exit, OptimalTpError, SettingsError

_EXTRA: typing.Final = {"moto": "local", "psutil": "local", "tokenizers": "local"}
"""Libraries that only an extra of pyproject.toml brings, with its name."""


def _leave(number: int, frame: types.FrameType | None) -> typing.NoReturn:  # noqa: ARG001 - signal's signature
    """End a load that has not begun: nothing was sent, so there is nothing to finish or to keep."""
    sys.stderr.write(f"{signal.Signals(number).name} before the load began; nothing was sent\n")
    raise SystemExit(0 if number == signal.SIGTERM else 128 + number)


def main(words: list[str] | None = None) -> int:
    """Run the command in ``words``, by default those of the command line; return the exit status."""
    if words is None:
        words = sys.argv[1:]
        if words[:1] == ["load"]:  # the other commands have no load under way for long, and end as interrupted
            for early in (signal.SIGTERM, signal.SIGINT):
                signal.signal(early, _leave)
    try:
        arguments = argument_parser.asked(words)
        with output.as_asked(arguments):
            status: int = importlib.import_module(module_of(arguments.command)).main(arguments)
    except OptimalTpError as error:
        sys.stderr.write(f"{_told(error)}\n")
        return error.exit_status
    except ModuleNotFoundError as missing:
        extra = _EXTRA.get(missing.name or "")
        if extra is None:
            raise
        sys.stderr.write(f"this command needs {missing.name}: in the clone, pip install '.[{extra}]'\n")
        return Exit.BAD_INPUT
    return status


def _told(error: OptimalTpError) -> str:
    """Return the sentence of ``error``, with the line of each bad key where a file has it."""
    if not isinstance(error, SettingsError):
        return str(error)
    from optimal_tp.settings.described.line_numbers import placed  # noqa: PLC0415 - only an error needs YAML

    return str(placed(error))


if __name__ == "__main__":
    sys.exit(main())
