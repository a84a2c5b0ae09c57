"""Rules for the options of the ``load`` command, alone and in combination; every fault is reported."""

import argparse
import math
import typing

from optimal_tp.errors import Problem
from optimal_tp.loadgen.command.recorded import problem

_POSITIVE = {
    "concurrency": "must be a whole number of at least 1",
    "step_seconds": "must be a finite number above 0",
    "seconds": "must be a finite number above 0",
    "requests": "must be a whole number of at least 1",
    "max_tokens": "must be a whole number of at least 1",
    "prompt_tokens": "must be a whole number of at least 1",
    "request_timeout_seconds": "must be a finite number above 0",
    "max_in_flight": "must be a whole number of at least 1",
    "limit_ms": "must be a finite number above 0",
    "trace_requests": "must be a whole number of at least 1",
    "rate": "must be a finite number above 0",
}
_NOT_NEGATIVE = ("think_seconds", "grace_seconds", "core", "seed")


def numbers(arguments: argparse.Namespace) -> typing.Iterator[Problem]:
    """Yield the faults of each number alone."""
    for option, rule in _POSITIVE.items():
        value = getattr(arguments, option)
        if value is not None and not (math.isfinite(value) and value > 0):
            yield problem(option, value, rule, "")
    for option in _NOT_NEGATIVE:
        value = getattr(arguments, option)
        if value is not None and not (math.isfinite(value) and value >= 0):
            yield problem(option, value, "must be a finite number of at least 0", "")


def combinations(arguments: argparse.Namespace) -> typing.Iterator[Problem]:
    """Yield the options that contradict the mode or each other."""
    mode = arguments.mode
    for option, modes in (("rate", ("constant", "poisson")), ("rates", ("rising",)), ("trace", ("trace",))):
        value = getattr(arguments, option)
        also = (option == "rate" and mode == "trace") or (option == "trace" and mode != "seed")
        if (value is not None) != (mode in modes) and not (also and value is not None):
            remedy = "add it, or choose another --mode" if value is None else "leave it out, or choose such a --mode"
            yield problem(option, value, f"must be given exactly with --mode {' or '.join(modes)}", remedy)
    for option, its_mode in (("concurrency", "closed"), ("think_seconds", "closed"), ("step_seconds", "rising")):
        value = getattr(arguments, option)
        if value is not None and mode != its_mode:
            rule = f"must go with --mode {its_mode}"
            yield problem(option, value, rule, "leave it out, or choose that --mode")
    if (arguments.prompt == "file") != (arguments.prompt_file is not None):
        remedy = "name a file" if arguments.prompt_file is None else "add --prompt file, or leave it out"
        yield problem("prompt_file", arguments.prompt_file, "must be given exactly with --prompt file", remedy)
    if mode == "rising" and arguments.rates is not None and rates(arguments.rates) is None:
        yield problem("rates", arguments.rates, "must be numbers above 0 with commas between them", "write it as 1,2,4")


def lengths(arguments: argparse.Namespace) -> typing.Iterator[Problem]:
    """Yield the lengths that contradict the source of the prompts."""
    if arguments.prompt_tokens is not None and (arguments.prompt != "synthetic" or arguments.trace is not None):
        rule = "must go with --prompt synthetic and without --trace"
        yield problem("prompt_tokens", arguments.prompt_tokens, rule, "leave it out")
    if arguments.max_tokens is not None and arguments.trace is not None:
        yield problem(
            "max_tokens", arguments.max_tokens, "must go without --trace, which has lengths of its own", "leave it out"
        )
    if arguments.trace is not None and arguments.prompt != "synthetic":
        yield problem(
            "prompt",
            arguments.prompt,
            "must be synthetic with --trace, which says how long prompts are",
            "leave it out",
        )
    for option in ("trace_requests", "trace_unit"):
        if getattr(arguments, option) is not None and arguments.trace is None:
            yield problem(option, getattr(arguments, option), "must go with --trace", "leave it out, or add --trace")


def rates(text: str) -> tuple[float, ...] | None:
    """Return the rates of rising load in ``text``, per second; None if it is not a list of numbers above 0."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        return None
    return found if all(math.isfinite(rate) and rate > 0 for rate in found) else None
