"""Planted runs with their verdicts and analyses, each made once: all of them are frozen."""

import typing

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.verdict.analysis import Analysis, analyse
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.rule import decide
from tests.fakes_run import planted_run

_VERDICTS: dict[str, Verdict] = {}
_ANALYSES: dict[str, Analysis] = {}


def judged_run(**plan: typing.Any) -> tuple[RunRecord, list[Sample], Verdict]:
    """Return the run that ``planted_run`` makes of ``plan``, and its verdict."""
    record, samples = planted_run(**plan)
    name = repr(sorted(plan.items()))
    if name not in _VERDICTS:
        _VERDICTS[name] = decide(record, samples)
    return record, samples, _VERDICTS[name]


def analysed_run(**plan: typing.Any) -> Analysis:
    """Return the analysis of that run."""
    name = repr(sorted(plan.items()))
    if name not in _ANALYSES:
        _ANALYSES[name] = analyse(*judged_run(**plan))
    return _ANALYSES[name]
