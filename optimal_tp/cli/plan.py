"""Plan the fleet that carries a rate within a latency limit, from a stored run.

Exit status: 0 planned, 2 bad input, 3 planned from a run that is not settled, also where only this plan's model
contradicts its choice, or not settled whether any fleet holds; 5 a file cannot be written.
Example: optimal-tp plan out/last --rate 500/s --limit p99_total_ms=400
"""

import argparse
import functools
import json
import pathlib
import re
import sys
import typing

import yaml

from optimal_tp.cli.sources import NEWEST, folder_of, stored_run
from optimal_tp.cli.terminal import output
from optimal_tp.errors import Exit, Problem, SettingsError, or_problems
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import INSTANCE_TYPES, InstanceTypeName
from optimal_tp.fleet.agreement import held_out_rows, model_of, predicted
from optimal_tp.fleet.buying import Buying
from optimal_tp.fleet.demand import Hour, LatencyLimit, output_tokens_asked, parse_forecast, parse_limit, parse_rate
from optimal_tp.fleet.manifests import ground, manifests, most_nodes
from optimal_tp.fleet.page import page, pictures
from optimal_tp.fleet.planning import ROUTINGS, FleetPlan, FleetQuestion, plan
from optimal_tp.fleet.scaling import DEFAULT_PROMETHEUS
from optimal_tp.fleet.sentences import words
from optimal_tp.fleet.simulation.answers import ServerModel
from optimal_tp.fleet.simulation.arrivals import Arrivals
from optimal_tp.fleet.tables import _show, tables
from optimal_tp.measurement.turns import of
from optimal_tp.report.files import write_files
from optimal_tp.results.retrial import Retrial, retry
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.evidence import examine
from optimal_tp.verdict.findings import EXIT_STATUS
from optimal_tp.verdict.predictions import HeldOut

_PAGE = "fleet.html"
_STACK_FILE = pathlib.Path("Pulumi.dev.yaml")
_ZONES = 3
"""Most regions with trn2 have it in three zones (``offered`` in optimal_tp/facts/hardware.py)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("source", nargs="?", default=NEWEST, metavar="RUN", help="a run's folder, or s3://bucket/prefix (%(default)s)")
    add("--rate", metavar="RATE", help="requests of the whole fleet: 500/s, 30/min or 2e6/h")
    add("--limit", action="append", required=True, metavar="LIMIT", help="p99_total_ms=400; or ttft, tpot; repeatable")
    add("--forecast", type=pathlib.Path, metavar="FILE", help="hourly CSV of time,rate; plan for its highest rate")
    add("--degrees", metavar="D,D,...", help="degrees to plan (default: every one that the run measured)")
    add("--routing", choices=ROUTINGS, default="random", help="how a server is chosen (default %(default)s)")
    add(
        "--burst",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="half of the requests come in bursts at this many times the mean rate",
    )
    add("--burst-seconds", type=float, default=10.0, metavar="S", help="mean length of a burst (default %(default)s)")
    add(
        "--instance-type",
        choices=tuple(INSTANCE_TYPES),
        help="instance type to buy (default: the run's own, or trn2.3xlarge)",
    )
    add("--usd-per-hour", type=float, metavar="USD", help="price of a node's hour (default: the run's own)")
    add(
        "--zones",
        type=int,
        default=_ZONES,
        metavar="N",
        help="zones that the fleet is spread over (default %(default)s)",
    )
    add("--manifests", type=pathlib.Path, metavar="DIR", help="folder for manifests of the cheapest degree")
    add("--stack-file", type=pathlib.Path, default=_STACK_FILE, metavar="FILE", help="for --manifests (%(default)s)")
    add(
        "--prometheus",
        default=DEFAULT_PROMETHEUS,
        metavar="URL",
        help="Prometheus that scrapes the fleet, for --manifests (%(default)s)",
    )
    add("--output", type=pathlib.Path, metavar="FOLDER", help="folder for fleet.html (default: the run's)")


def main(options: argparse.Namespace) -> int:
    """Plan, write ``fleet.html`` and its pictures, show the plan; return the exit status.

    Raises SettingsError for bad input, StorageFailed if the page cannot be written.
    """
    source = stored_run(options.source)
    folder = options.output or folder_of(options.source, source.record.run)
    limits, hours, rate = _asked(options)
    again = retry(source, functools.partial(predicted, extrapolates=False))
    if again.verdict.outcome == "void":
        rule = f"must not be void ({again.verdict.reasons[0]})"
        raise SettingsError([Problem(path="RUN", value=source.name, rule=rule, remedy="measure again")])
    settings = again.record.settings
    measured = _measured(options, again, limits)
    chosen = (each.candidate for each in again.verdict.degrees if each.name == again.verdict.chosen)
    question = FleetQuestion(
        arrivals=Arrivals(rate_per_second=rate, burst_factor=options.burst, burst_seconds=options.burst_seconds),
        limits=limits,
        routing=options.routing,
        buying=_buying(options, again, settings),
        prices=_prices(_buying(options, again, settings)),
        zones=options.zones,
        hours=hours,
        output_tokens=output_tokens_asked(again.record, again.samples),
        choice=next(chosen, None),
    )
    found = plan(question, measured, _held_out(again, measured))
    if not found.carried:
        return _nothing(found, options)
    files = [] if options.manifests is None else _deploy(found, settings, again.record.pins, options)
    with output.beside_json(options):
        is_replaced = (folder / _PAGE).is_file()
        written = _write(found, again, folder)
        _show(found, again, [written, *files], replaced=[written] if is_replaced else [])
    if output.is_json(options):
        sys.stdout.write(json.dumps(_as_data(found, again), indent=1) + "\n")
    return EXIT_STATUS[again.verdict.outcome]


def _as_data(found: FleetPlan, again: Retrial) -> dict[str, object]:
    """Return the plan for programs: its sentences, and each table by its caption as rows by head."""
    said = words(found, again.verdict, again.record)
    rows = {
        each.caption: [dict(zip(each.heads, row, strict=True)) for row in each.rows]
        for each in tables(found, again.verdict)
    }
    return {"headline": said.headline, "sentences": [*said.warnings, *said.sentences, *said.marks], "tables": rows}


def _asked(options: argparse.Namespace) -> tuple[tuple[LatencyLimit, ...], tuple[Hour, ...], float]:
    problems: list[Problem] = []
    read = (or_problems(functools.partial(parse_limit, text), problems) for text in options.limit)
    limits = tuple(limit for limit in read if limit is not None)
    rates: list[float | None] = []
    hours: tuple[Hour, ...] | None = None
    if options.rate is not None:
        rates.append(or_problems(lambda: parse_rate(options.rate), problems))
    if options.forecast is not None:
        hours = or_problems(lambda: parse_forecast(_text(options.forecast), name=str(options.forecast)), problems)
        rates += [hour.rate_per_second for hour in hours or ()]
    if options.rate is None and options.forecast is None:
        rule = "must be set, or --forecast"
        problems.append(Problem(path="--rate", value=None, rule=rule, remedy="add --rate 500/s"))
    for name, value, least in (
        ("--burst", options.burst, 1.0),
        ("--burst-seconds", options.burst_seconds, 1e-3),
        ("--zones", options.zones, 1),
        ("--usd-per-hour", options.usd_per_hour, 1e-6),
    ):
        if value is not None and not least <= value < 1e9:  # noqa: PLR2004 - rules out infinity and slips
            rule = f"must be a number of at least {least:g}"
            problems.append(Problem(path=name, value=value, rule=rule))
    if problems:
        raise SettingsError(problems)
    return limits, hours or (), max(rate for rate in rates if rate is not None)


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        rule = f"must name a readable text file ({error.strerror if isinstance(error, OSError) else error})"
        raise SettingsError(
            [Problem(path="--forecast", value=str(path), rule=rule, remedy="name another file")]
        ) from error


def _measured(
    options: argparse.Namespace, again: Retrial, limits: typing.Sequence[LatencyLimit]
) -> dict[Candidate, ServerModel]:
    """Return the models of the requested degrees. Raises SettingsError for a degree without samples."""
    sound = examine(again.record, again.samples).turns
    invalid = {one.degree: one.ground.sentence for one in again.verdict.degrees if one.word == "invalid"}
    known = {one.degree: one.reason for one in again.record.degrees}
    asked = _degrees(options)
    problems: list[Problem] = []
    measured: dict[Candidate, ServerModel] = {}
    for degree in sorted(known) if asked is None else asked:
        candidates = set() if degree in invalid else {of(turn) for turn, _ in sound if turn.degree == degree}
        for one in candidates:
            own = [pair for pair in sound if of(pair[0]) == one]
            model = model_of(again.record, one, own)
            if model is not None:
                measured[one] = model
        if asked is not None and not any(one in measured for one in candidates):
            reason = invalid.get(degree) or known.get(degree)
            rule = "must be a degree with service times in the run" + (f" ({reason})" if reason else "")
            have = ", ".join(map(str, sorted({turn.degree for turn, _ in sound}))) or "none"
            remedy = f"name degrees that were measured: {have}"
            problems.append(Problem(path="--degrees", value=degree, rule=rule, remedy=remedy))
    if not measured and not problems:
        rule = "must have a request that succeeded with its tokens counted"
        problems.append(Problem(path="RUN", value=again.record.run, rule=rule, remedy="name another run"))
    untimed = [one.name for one, model in measured.items() if not model.has_first_tokens]
    for limit in limits:
        if limit.metric != "total_latency_ms" and untimed:
            rule = f"must be on total latency: first tokens of {', '.join(untimed)} were not timed (no streaming)"
            problems.append(Problem(path="--limit", value=limit.words, rule=rule))
    if problems:
        raise SettingsError(problems)
    return measured


def _held_out(again: Retrial, measured: typing.Mapping[Candidate, ServerModel]) -> list[HeldOut]:
    """Return the figures of the held-out turns, to which no model was fitted, with their predictions."""
    sound = examine(again.record, again.samples).turns
    routing = again.record.settings.load.routing
    return [
        row
        for one, model in measured.items()
        for row in held_out_rows(model, [pair for pair in sound if of(pair[0]) == one], routing)
    ]


def _degrees(options: argparse.Namespace) -> list[int] | None:
    if options.degrees is None:
        return None
    try:
        found = sorted({int(part) for part in options.degrees.split(",")})
    except ValueError as error:
        rule = "must be whole numbers with commas between them"
        like = ",".join(re.findall(r"\d+", options.degrees)) or "1,2,4"
        problem = Problem(path="--degrees", value=options.degrees, rule=rule, remedy=f"write them as {like}")
        raise SettingsError([problem]) from error
    return found


def _buying(options: argparse.Namespace, again: Retrial, settings: WorkloadSettings) -> Buying:
    """Return the instance type and its price, from the options or else from the run."""
    named = options.instance_type or again.record.pins.get("instance")
    name: InstanceTypeName = next((one for one in INSTANCE_TYPES if one == named), "trn2.3xlarge")
    price = options.usd_per_hour
    if price is None and settings.price is not None:
        nodes = INSTANCE_TYPES[name].logical_cores / settings.price.billed_cores
        price = settings.price.usd_per_hour * nodes if nodes == 1 else None
    whole_chips = any(one.cores_used > one.degree * len(one.urls) for one in again.record.degrees)
    return Buying(instance_type=name, usd_per_node_hour=price, whole_chips=whole_chips)


def _prices(buying: Buying) -> dict[InstanceTypeName, float]:
    return {} if buying.usd_per_node_hour is None else {buying.instance_type: buying.usd_per_node_hour}


def _nothing(found: FleetPlan, options: argparse.Namespace) -> int:
    said = [f"{one.candidate.name}: {one.sentence}" for one in found.refused]
    reasons = "; ".join(said)
    if any(one.word == "inconclusive" for one in found.refused):
        data = {"headline": "Not settled", "sentences": said, "tables": {}}
        sys.stdout.write(json.dumps(data, indent=1) + "\n" if output.is_json(options) else f"Not settled: {reasons}\n")
        return Exit.OPEN
    rule = f"must be a limit that some fleet can hold, but no size holds it ({reasons})"
    remedy = "raise the limit or measure a faster degree"
    raise SettingsError([Problem(path="--limit", value=" ".join(options.limit), rule=rule, remedy=remedy)])


def _deploy(
    found: FleetPlan, settings: WorkloadSettings, pins: typing.Mapping[str, str], options: argparse.Namespace
) -> list[pathlib.Path]:
    """Write the manifests of the cheapest degree's fleet, and return the files."""
    best, folder = found.carried[0], options.manifests
    place = ground(
        options.stack_file,
        settings,
        pins,
        instance_type=best.nodes.instance_type,
        most_nodes=most_nodes(best),
        prometheus=options.prometheus,
    )
    files = {
        name: yaml.safe_dump_all(documents, sort_keys=False, width=120).encode()
        for name, documents in manifests(best, place).items()
    }
    return write_files(folder, files, what="manifests", remedy="name another folder with --manifests")


def _write(found: FleetPlan, again: Retrial, folder: pathlib.Path) -> pathlib.Path:
    drawn = pictures(found)
    said = words(found, again.verdict, again.record)
    text = page(found, said, tables(found, again.verdict), drawn, again.record, again.verdict.outcome)
    files = {_PAGE: text.encode(), **{f"{plot.name}.png": plot.png for plot in drawn}}
    return write_files(folder, files, what="plan", remedy="free space or name another folder with --output")[0]
