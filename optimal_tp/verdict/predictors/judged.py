"""Compare predictions with a measured run: the error of each figure, and the order of each pair of candidates.

These are two different questions: a predictor that is wrong by the same factor everywhere still orders candidates
correctly. The measured order of a pair counts only where the run settles it; otherwise the prediction is not judged.
"""

import dataclasses
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.measurement.run import RunRecord
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.latency import LatencyRow
from optimal_tp.verdict.load_steps import LoadStep
from optimal_tp.verdict.predictors.judgement import Judged, JudgedFigure, JudgedRow, Metric
from optimal_tp.verdict.predictors.orders import judged_pairs
from optimal_tp.verdict.predictors.stated import RateName, Stated, StatedRow

LIKE_LENGTH, LIKE_LOAD = 1.1, 1.5
"""Largest ratios at which predicted lengths of requests, and requests in flight, count as the run's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredFigures:
    """The figures of a run that predictions are compared with."""

    record: RunRecord
    verdict: Verdict
    latencies: tuple[LatencyRow, ...]
    steps: tuple[LoadStep, ...]


def judged(stated: Stated, measured: MeasuredFigures) -> Judged:
    """Return ``stated`` beside the measured figures.

    Raises SettingsError, with every bad row, where the file is not about this run.
    """
    rows, notes = _of_run(stated, measured)
    rate = _ordered_by(measured.verdict, [row for own in rows.values() for row in own])
    limits = measured.record.settings.limits.asked()
    best: dict[Candidate, tuple[StatedRow, tuple[LimitedMetric, ...]]] = {}
    for candidate, own in rows.items():
        holding = [row for row in own if not row.missed(limits)]
        row = max(holding or own, key=lambda one: 0.0 if rate is None else one.per_core(rate) or 0.0)
        best[candidate] = row, row.missed(limits) if not holding else ()
        if holding and len(holding) < len(own):
            miss = "misses" if len(own) - len(holding) == 1 else "miss"
            notes.append(f"{len(own) - len(holding)} of {len(own)} predictions of {candidate.name} {miss} the limits")
    found = [
        JudgedRow(
            degree=candidate.degree,
            max_num_seqs=candidate.max_num_seqs,
            place=row.place,
            per_core=None if rate is None else row.per_core(rate),
            misses=misses,
            figures=tuple(_figures(candidate, row, measured)),
        )
        for candidate, (row, misses) in best.items()
    ]
    found.sort(key=lambda row: (bool(row.misses), -(row.per_core or 0.0)))
    return Judged(
        predictor=stated.predictor,
        version=stated.version,
        file=stated.file,
        ordered_by=rate,
        rows=tuple(found),
        pairs=tuple(judged_pairs(found, measured.verdict)) if rate is not None else (),
        notes=tuple(notes),
    )


def _of_run(stated: Stated, measured: MeasuredFigures) -> tuple[dict[Candidate, list[StatedRow]], list[str]]:
    """Return the rows of each candidate of the run, ascending, and notes on the others."""
    settings = measured.record.settings
    candidates = [degree.candidate for degree in measured.verdict.degrees]
    lengths = _lengths(measured)
    rows: dict[Candidate, list[StatedRow]] = {candidate: [] for candidate in candidates}
    problems: list[Problem] = []
    strangers: list[str] = []
    for row in stated.rows:
        problems += _unlike(row, lengths)
        same = [one for one in candidates if one.degree == row.degree]
        own = [one for one in same if row.batch in (None, settings.model.batch_of(one))]
        if len(own) > 1:
            rule = f"must be one of the batches that the run has for TP{row.degree}"
            problems.append(Problem(path=f"{row.place} batch", value=None, rule=rule, remedy="state it"))
        elif own:
            rows[own[0]].append(row)
        else:
            strangers.append(f"TP{row.degree}" + ("" if row.batch is None else f" with a batch of {row.batch}"))
    notes = list(stated.notes)
    if strangers:
        notes.append(f"not measured: {', '.join(dict.fromkeys(strangers))}")
    models = {row.model for row in stated.rows if row.model is not None and _title(row.model) != _title_of(measured)}
    if models:
        notes.append(f"the file predicts {', '.join(sorted(models))}, but the run measured {settings.model.name}")
    kept = {candidate: own for candidate, own in rows.items() if own}
    if not problems and not kept:
        rule = f"must have a row for a candidate of the run ({', '.join(one.name for one in candidates)})"
        problems.append(
            Problem(path=stated.file, value=", ".join(strangers), rule=rule, remedy="name the predictions of this run")
        )
    if problems:
        raise SettingsError(problems)
    return kept, notes


def _title(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2].lower()


def _title_of(measured: MeasuredFigures) -> str:
    return _title(measured.record.settings.model.name)


def _lengths(measured: MeasuredFigures) -> dict[str, float]:
    """Return the mean lengths of the run's requests, by the name of a row's field; empty where no setting has them."""
    load = measured.record.settings.load
    if measured.record.trace is not None or load.prompt != "synthetic":
        return {}
    return {"input_tokens": load.prompt_tokens, "output_tokens": load.output_tokens}


def _unlike(row: StatedRow, lengths: typing.Mapping[str, float]) -> typing.Iterator[Problem]:
    for name, own in lengths.items():
        value: float | None = getattr(row, name)
        if value is not None and max(value / own, own / max(value, 1e-9)) > LIKE_LENGTH:
            rule = f"must be within {100 * (LIKE_LENGTH - 1):.0f} % of the run's {own:g}"
            remedy = "predict for the run's request lengths, or measure the predicted ones"
            yield Problem(path=f"{row.place} {name}", value=value, rule=rule, remedy=remedy)


def _ordered_by(verdict: Verdict, rows: typing.Sequence[StatedRow]) -> RateName | None:
    """Return a rate that all rows state, the one that the run compares before the other; None without one."""
    names: tuple[RateName, RateName] = ("requests_per_second", "output_tokens_per_second")
    order = names if verdict.criterion == "goodput" else names[::-1]
    return next((name for name in order if all(row.per_core(name) is not None for row in rows)), None)


def _figures(candidate: Candidate, row: StatedRow, measured: MeasuredFigures) -> typing.Iterator[JudgedFigure]:
    degree = next(one for one in measured.verdict.degrees if one.candidate == candidate)
    is_alone = row.in_flight is not None and row.in_flight <= 1
    unlike = _other_load(row, _in_flight(candidate, measured))
    for metric, latency in (("ttft_ms", row.ttft_ms), ("tpot_ms", row.tpot_ms)):
        if latency is not None:
            own = _median(candidate, "idle" if is_alone else "block", metric, measured)
            why_not = None if is_alone else unlike
            yield _figure(typing.cast("Metric", metric), latency, own, is_alone=is_alone, why_not=why_not)
    goodput = degree.goodput_per_second_per_core
    requests = None if goodput is None else Estimate(value=goodput, interval=Interval(low=None, high=None))
    for metric, rate, own in (
        ("requests_per_second_per_core", row.per_core("requests_per_second"), requests),
        (
            "output_tokens_per_second_per_core",
            row.per_core("output_tokens_per_second"),
            degree.tokens_per_second_per_core,
        ),
    ):
        if rate is not None:
            # Goodput is the highest rate within the limits, whatever number of requests is then in flight.
            why_not = None if metric == "requests_per_second_per_core" else unlike
            yield _figure(typing.cast("Metric", metric), rate, own, is_alone=False, why_not=why_not)


def _figure(
    metric: Metric, predicted: float, own: Estimate | None, *, is_alone: bool, why_not: str | None
) -> JudgedFigure:
    why_not = why_not or ("not measured" if own is None else None)
    shown = None if why_not is not None else own
    is_bounded = shown is not None and (shown.interval.low is not None or shown.interval.high is not None)
    return JudgedFigure(
        metric=metric,
        predicted=predicted,
        measured=None if shown is None else shown.value,
        interval=shown.interval if shown is not None and is_bounded else None,
        ratio=None if shown is None or not shown.value else predicted / shown.value,
        at="one at a time" if is_alone else "near capacity",
        why_not=why_not,
    )


def _median(candidate: Candidate, stage: str, metric: str, measured: MeasuredFigures) -> Estimate | None:
    wanted = (candidate, stage, metric)
    rows = (row for row in measured.latencies if (row.candidate, row.stage, row.metric) == wanted)
    return next((row.p50_ms for row in rows), None)


def _in_flight(candidate: Candidate, measured: MeasuredFigures) -> float | None:
    """Return the requests in flight at one server in the blocks; with open arrivals about ``rate * median latency``."""
    step = next((one for one in measured.steps if one.candidate == candidate and one.stage == "block"), None)
    record = next((one for one in measured.record.degrees if one.candidate == candidate), None)
    if step is None or record is None:
        return None
    if step.concurrency is not None:
        return step.concurrency * candidate.degree / record.cores_used
    if step.rate_per_second_per_core is None or step.latency_p50_ms is None:
        return None
    return step.rate_per_second_per_core * candidate.degree * step.latency_p50_ms / 1000


def _other_load(row: StatedRow, in_flight: float | None) -> str | None:
    if row.in_flight is None or in_flight is None:
        return None
    if max(row.in_flight / in_flight, in_flight / row.in_flight) <= LIKE_LOAD:
        return None
    return f"predicted at {row.in_flight:.3g} in flight, measured at about {in_flight:.2g}"
