"""Everything that a report says about a run, from its record, its samples and its verdict."""

import dataclasses
import typing

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.verdict.cores import CoreFigures, EqualCores, core_figures, equal_cores
from optimal_tp.verdict.costs import Money, money
from optimal_tp.verdict.curve import LoadCurve, load_curves, load_steps, telling
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.flips import Flips, limit_ranges, price_flips
from optimal_tp.verdict.latencies import LatencyRow, latency_rows, medians_alone
from optimal_tp.verdict.soundness import examine
from optimal_tp.verdict.split import LatencySplit, split_latency


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
    """A run's verdict and what stands beside it."""

    record: RunRecord
    verdict: Verdict
    latencies: tuple[LatencyRow, ...]
    curves: tuple[LoadCurve, ...]
    flips: Flips
    cores: tuple[CoreFigures, ...]
    equal_cores: tuple[EqualCores, ...]
    money: Money | None
    split: LatencySplit | None


def analyse(record: RunRecord, samples: typing.Sequence[Sample], verdict: Verdict) -> Analysis:
    """Return the analysis of a run."""
    settings = record.settings
    soundness = examine(record, samples)
    turns = [turn for turn, _ in soundness.turns]
    sound = [sample for _, own in soundness.turns for sample in own]
    limits = settings.limits.asked()
    cores_used = {degree.degree: degree.cores_used for degree in record.degrees}
    curves = load_curves(turns, sound, limits, cores_used)
    rows = latency_rows(soundness, alpha=1 - settings.decision.confidence)
    invalid = {degree.degree for degree in verdict.degrees if degree.word == "invalid"}
    steps = load_steps(turns, sound, limits, cores_used, stages=("idle", "rising", "block"))
    valid = [step for degree, own in steps.items() if degree not in invalid for step in own]
    metric, percent = telling(limits)
    figures = core_figures(record, verdict, settings.price)
    medians = {degree: median.value for degree, median in medians_alone(rows).items() if degree not in invalid}
    return Analysis(
        record=record,
        verdict=verdict,
        latencies=rows,
        curves=curves,
        flips=Flips(metric=metric, percent=percent, ranges=limit_ranges(valid), prices=price_flips(verdict)),
        cores=figures,
        equal_cores=equal_cores(figures),
        money=money(record, verdict, curves, settings.price),
        split=split_latency(medians),
    )
