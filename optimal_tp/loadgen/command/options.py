"""The options of the ``load`` command, checked as a whole: every bad option is named at once."""

import argparse
import dataclasses
import datetime as dt
import pathlib
import secrets
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.loadgen import wire
from optimal_tp.loadgen.command import access, option_rules, recorded
from optimal_tp.loadgen.command.access import Access
from optimal_tp.loadgen.command.recorded import problem
from optimal_tp.plan import schedule
from optimal_tp.plan.traces import Trace
from optimal_tp.settings.presets import PRESETS

if typing.TYPE_CHECKING:
    # Every load imports this module, and the settings' library would take as long as the first request may.
    from optimal_tp.settings.workload import Api

STEP_SECONDS = 10
"""Default length of a step of rising load."""
PROMPT_TOKENS = 30
"""Default length of synthetic prompts."""
SECONDS = 30
"""Default length of a load, if nothing else ends it."""
MAX_TOKENS = 50
"""Default number of tokens to ask for."""
PROMPTS = ("synthetic", "seed", "file")
MODES = ("closed", "constant", "poisson", "rising", "trace", "seed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """One requested load."""

    urls: tuple[str, ...]
    model: str | None
    api: "Api"
    arrivals: schedule.Arrivals
    trace: Trace | None
    """Recorded sizes of the requests, if a trace gives them."""
    seconds: float | None
    requests: int | None
    stream: bool
    max_tokens: int
    temperature: float | None
    ignore_eos: bool
    prompt: str
    prompt_file: pathlib.Path | None
    prompt_tokens: int
    seed: int
    request_timeout_seconds: float
    grace_seconds: float
    max_in_flight: int | None
    limit_ms: float | None
    access: Access
    core: int | None
    realtime: bool
    output: pathlib.Path
    samples: pathlib.Path


_SECONDS: typing.Final = {"": 1, "s": 1, "min": 60, "h": 3600}
"""Of a rate's unit, as ``optimal-tp plan`` writes it."""


def rate(text: str) -> float:
    """Return requests per second in ``text``: "5", "5/s", "300/min" or "2e6/h". Raises ValueError, as argparse asks."""
    number, slash, unit = (part.strip() for part in text.partition("/"))
    if (slash and not unit) or unit not in _SECONDS:
        raise ValueError(text)
    return float(number) / _SECONDS[unit]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("urls", nargs="+", metavar="URL", help="the server; several URLs for replicas of it")
    add("--model", metavar="NAME", help="name that requests carry; the server's first model if absent")
    add("--mode", choices=MODES, default="closed", help="arrivals; seed: as in the AWS sample (default %(default)s)")
    add("--concurrency", type=int, metavar="N", help="closed: requests in flight (default 1)")
    add("--think-seconds", type=float, metavar="S", help="closed: pause between a slot's requests (default 0)")
    add("--rate", type=rate, metavar="R", help="constant, poisson: 5 (a second), 5/s or 300/min; trace: its new mean")
    add("--rates", metavar="R,R,...", help="rising: requests per second of each step")
    add("--step-seconds", type=float, metavar="S", help=f"rising: length of a step (default {STEP_SECONDS})")
    add(
        "--trace",
        type=pathlib.Path,
        metavar="FILE",
        help="take lengths from this trace, and with --mode trace the send times too",
    )
    add("--trace-requests", type=int, metavar="N", help="read only the first N requests of the trace")
    add(
        "--trace-unit",
        choices=("seconds", "milliseconds"),
        help="unit of numeric time stamps, if the trace's format leaves it open",
    )
    add("--preset", choices=tuple(PRESETS), help="lengths and limit of a kind of traffic, unless given")
    add(
        "--seconds",
        type=float,
        metavar="S",
        help=f"length of the load in seconds (default {SECONDS} if nothing else ends the load)",
    )
    add("--requests", type=int, metavar="N", help="stop after this many requests")
    add("--api", choices=("completions", "chat"), default="completions", help="endpoint (default %(default)s)")
    add("--stream", action="store_true", help="stream the answers and record the time of every token")
    add("--max-tokens", type=int, metavar="N", help=f"tokens to ask for (default {MAX_TOKENS})")
    add("--temperature", type=float, metavar="T", help="sampling temperature (default: the server's)")
    add("--ignore-eos", action="store_true", help="vLLM only: generate exactly --max-tokens")
    add("--prompt", choices=PROMPTS, default="synthetic", help="seed: the AWS sample's sentence (default %(default)s)")
    add("--prompt-file", type=pathlib.Path, metavar="FILE", help="file with one prompt per line, for --prompt file")
    add("--prompt-tokens", type=int, metavar="N", help=f"length of synthetic prompts (default {PROMPT_TOKENS})")
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="number that repeats arrivals and prompts (default %(default)s)",
    )
    add("--request-timeout-seconds", type=float, default=60, metavar="S", help="per request (default %(default)s)")
    add("--grace-seconds", type=float, default=5, metavar="S", help="for requests in flight after a signal (default 5)")
    add("--max-in-flight", type=int, metavar="N", help="further arrivals wait; the wait counts as latency")
    add("--limit-ms", type=float, metavar="MS", help="latency limit; the client may be late by 1 %% of it")
    access.configure(parser)
    add("--core", type=int, metavar="N", help="keep the client on this core")
    add("--realtime", action="store_true", help="take priority over ordinary processes, if the system allows it")
    add("--output", type=pathlib.Path, metavar="FILE.json", help="result file (default out/load-TIME/load.json)")
    add("--samples", type=pathlib.Path, metavar="FILE.jsonl", help="file of all samples (default: beside the output)")


def checked(arguments: argparse.Namespace) -> Options:
    """Return the load that ``arguments`` ask for. Raises SettingsError with every bad option."""
    arguments = _completed(arguments)
    problems = [
        *option_rules.numbers(arguments),
        *option_rules.combinations(arguments),
        *option_rules.lengths(arguments),
        *_addresses(arguments),
        *_files(arguments),
    ]
    way_in = access.access_of(arguments, problems)
    if problems:
        raise SettingsError(problems)
    trace = None if arguments.trace is None else recorded.trace(arguments)
    arrivals = _arrivals(arguments, trace)
    _refuse_silence(arguments, arrivals)
    figures = {} if arguments.preset is None else PRESETS[arguments.preset]
    lengths, limits = figures.get("load", {}), figures.get("limits", {})
    strictest = min((limit["at_most_ms"] for limit in limits.values()), default=None)
    max_tokens = arguments.max_tokens or lengths.get("output_tokens", MAX_TOKENS)
    made = {
        "urls": tuple(arguments.urls),
        "arrivals": arrivals,
        "trace": trace,
        "access": way_in,
        "samples": _samples(arguments),
        "prompt_tokens": arguments.prompt_tokens or lengths.get("prompt_tokens", PROMPT_TOKENS),
        "max_tokens": max_tokens if trace is None else trace.longest_output,
        "limit_ms": strictest if arguments.limit_ms is None else arguments.limit_ms,
    }
    plain = (field.name for field in dataclasses.fields(Options) if field.name not in made)
    return Options(**made, **{name: getattr(arguments, name) for name in plain})


def _completed(arguments: argparse.Namespace) -> argparse.Namespace:
    """Return ``arguments`` with a default output file and a default end, if none are given."""
    whole = argparse.Namespace(**vars(arguments))
    if whole.output is None:
        stamp = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        whole.output = pathlib.Path("out", f"load-{stamp}", "load.json")
    endless = whole.mode in {"closed", "constant", "poisson", "seed"}
    if endless and whole.seconds is None and whole.requests is None:
        whole.seconds = SECONDS
    return whole


def fitted(asked: Options, most_tokens: int | None) -> Options:
    """Return ``asked`` without the trace's requests that are too long for the server; they are counted.

    Raises SettingsError if none is left.
    """
    if asked.trace is None:
        return asked
    try:
        trace = asked.trace.within(most_tokens)
        arrivals = asked.arrivals
        if isinstance(arrivals, schedule.Replay) and trace.times is not None:
            arrivals = dataclasses.replace(arrivals, recorded=trace.times)
    except ValueError as error:
        remedy = "name another trace, or start the server with a larger length"
        raise SettingsError([problem("trace", asked.trace.path, str(error), remedy)]) from error
    return dataclasses.replace(asked, trace=trace, arrivals=arrivals, max_tokens=trace.longest_output)


def _addresses(arguments: argparse.Namespace) -> typing.Iterator[Problem]:
    for url in arguments.urls:
        try:
            wire.address(url)
        except ValueError as error:
            rule = str(error).split("; ", 1)[1]
            yield Problem(path="URL", value=url, rule=rule, remedy="write it as http://127.0.0.1:8001")


def _samples(arguments: argparse.Namespace) -> pathlib.Path:
    output: pathlib.Path = arguments.output
    return arguments.samples or output.parent / f"{output.stem}.samples.jsonl"


def _files(arguments: argparse.Namespace) -> typing.Iterator[Problem]:
    for option, path in (("output", arguments.output), ("samples", _samples(arguments))):
        if path.is_dir():
            yield problem(option, str(path), "must name a file; this is a folder", "name a file in it")
    if _samples(arguments).absolute() == arguments.output.absolute():
        rule = "must be another file than --output, which is written last"
        yield problem("samples", str(arguments.samples), rule, "leave it out, or name another file")


def _refuse_silence(arguments: argparse.Namespace, arrivals: schedule.Arrivals) -> None:
    """Raise SettingsError for an open schedule that ends before its first request."""
    if isinstance(arrivals, schedule.ClosedArrivals):
        return
    if next(schedule.planned(arrivals, seconds=arguments.seconds, requests=None), None) is None:
        rule = "must be long enough for the first request of the schedule"
        raise SettingsError([problem("seconds", arguments.seconds, rule, "give more seconds, or a higher rate")])


def _arrivals(arguments: argparse.Namespace, trace: Trace | None) -> schedule.Arrivals:
    match arguments.mode:
        case "closed":
            return schedule.Closed(concurrency=arguments.concurrency or 1, think_seconds=arguments.think_seconds or 0)
        case "constant":
            return schedule.Constant(rate_per_second=arguments.rate)
        case "poisson":
            return schedule.Poisson(rate_per_second=arguments.rate, seed=arguments.seed)
        case "rising":
            return schedule.Rising(
                rates_per_second=option_rules.rates(arguments.rates) or (),
                step_seconds=arguments.step_seconds or STEP_SECONDS,
            )
        case "seed":
            return schedule.Rotation(servers=len(arguments.urls))
        case _:
            return recorded.replay(arguments, trace)
