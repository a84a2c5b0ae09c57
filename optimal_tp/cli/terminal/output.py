"""The options ``--json``, ``--quiet`` and ``--no-color``, which every command takes before or after its name."""

import argparse
import collections.abc
import contextlib
import os
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options to ``parser``; an absent one sets no attribute, so that it may be before or after a command."""
    add = parser.add_argument_group("output").add_argument
    missing = argparse.SUPPRESS
    add(
        "--json", action="store_true", default=missing, help="print JSON on standard output, the rest on standard error"
    )
    add("--quiet", "-q", action="store_true", default=missing, help="print errors only; the exit status tells the rest")
    add("--no-color", action="store_true", default=missing, help="print without colours, as NO_COLOR=1 does")


def is_json(options: argparse.Namespace) -> bool:
    """Return whether the caller asked for JSON."""
    return bool(getattr(options, "json", False))


def is_quiet(options: argparse.Namespace) -> bool:
    """Return whether the caller asked for errors only."""
    return bool(getattr(options, "quiet", False))


@contextlib.contextmanager
def as_asked(options: argparse.Namespace) -> collections.abc.Iterator[None]:
    """Run a command with the requested colours and amount of output."""
    if getattr(options, "no_color", False):
        os.environ["NO_COLOR"] = "1"  # rich and argparse honour it, and so do the processes that a command starts
        os.environ.pop("FORCE_COLOR", None)
    if not is_quiet(options) or is_json(options):
        yield
        return
    with _silence():
        yield


@contextlib.contextmanager
def beside_json(options: argparse.Namespace) -> collections.abc.Iterator[None]:
    """Keep standard output free for JSON: text for people goes to standard error, or nowhere with ``--quiet``."""
    if not is_json(options):
        yield
    elif is_quiet(options):
        with _silence():
            yield
    else:
        with contextlib.redirect_stdout(sys.stderr):
            yield


@contextlib.contextmanager
def _silence() -> collections.abc.Iterator[None]:
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123 - no path
        yield
