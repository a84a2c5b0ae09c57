"""The input files of the ``load`` command: prompts, and a trace with the sizes and times of its requests."""

import argparse
import pathlib

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.plan import prompts
from optimal_tp.plan.schedule import Replay
from optimal_tp.plan.traces import Trace, read_trace


def problem(option: str, value: object, rule: str, remedy: str) -> Problem:
    """Return the fault of ``option``."""
    name = "--" + option.replace("_", "-")
    return Problem(path=name, value=value, rule=rule, remedy=remedy)


def trace(arguments: argparse.Namespace) -> Trace:
    """Return the trace that --trace names. Raises SettingsError for a file that is not a trace."""
    try:
        return read_trace(arguments.trace, most_requests=arguments.trace_requests, unit=arguments.trace_unit)
    except (OSError, ValueError) as error:
        remedy = "correct the file, or name another"
        raise SettingsError([problem("trace", str(arguments.trace), _rule(error), remedy)]) from error


def replay(arguments: argparse.Namespace, found: Trace | None) -> Replay:
    """Return the arrivals of ``found``, stretched to --rate if that is given.

    Raises SettingsError if they have no times, or times of an unknown unit.
    """
    if found is None or found.times is None:
        rule = "must have a time for every request where times are replayed"
        remedy = "name another trace, or take its lengths alone with another --mode"
        raise SettingsError([problem("trace", str(arguments.trace), rule, remedy)])
    if not found.has_unit and arguments.rate is None:
        rule = f"must be set: time stamps of {found.form} may be seconds or milliseconds"
        remedy = "add --trace-unit, or stretch the trace to a --rate"
        raise SettingsError([problem("trace_unit", None, rule, remedy)])
    try:
        return Replay(recorded=found.times, stretched_to_per_second=arguments.rate)
    except ValueError as error:
        raise SettingsError([problem("trace", found.path, str(error), "name another trace")]) from error


def prompt_lines(path: pathlib.Path) -> prompts.Prompts:
    """Return the prompts in the file ``path``. Raises SettingsError if it has none or cannot be read."""
    try:
        return prompts.from_lines(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, ValueError) as error:
        raise SettingsError(
            [problem("prompt_file", str(path), _rule(error), "correct the file, or name another")]
        ) from error


def _rule(error: OSError | ValueError) -> str:
    """Return the rule that a file breaks, from the exception that reading it raised."""
    if isinstance(error, UnicodeDecodeError):
        return f"must be UTF-8 text, but byte {error.start} is not ({error.reason})"
    return f"must name a readable file ({error.strerror})" if isinstance(error, OSError) else str(error)
