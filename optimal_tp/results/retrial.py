"""The verdict once more, from what a run stored: the same audit, the same rule, the same answer."""

import dataclasses

from optimal_tp.measurement.estimate import MISSING
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.run_audit import audit_run
from optimal_tp.measurement.samples import Sample
from optimal_tp.report.document import read_stored
from optimal_tp.results.source import Source
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.rule import decide


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrial:
    """A run judged again."""

    record: RunRecord
    """Without the turns that the self-audit left out."""
    samples: tuple[Sample, ...]
    verdict: Verdict
    difference: str | None
    """How the stored verdict differs; None where it says the same or there is none."""


def retry(source: Source) -> Retrial:
    """Return the verdict on a stored run."""
    audited = audit_run(source.record, source.samples, source.faults)
    notes = (*source.notes, *audited.left_out)
    void = dict(audited.void_reasons)
    if source.void:
        void[None] = (*source.void, *void.get(None, ()))
    verdict = decide(audited.record, audited.samples, void, notes)
    return Retrial(
        record=audited.record,
        samples=audited.samples,
        verdict=verdict,
        difference=_difference(source.stored_verdict, verdict),
    )


def _difference(stored_text: str | None, verdict: Verdict) -> str | None:
    if stored_text is None:
        return None
    try:
        stored = read_stored(stored_text)
    except ValueError as error:
        return f"The stored verdict.json cannot be read: {error}."
    if (stored.outcome, stored.chosen) == (verdict.outcome, verdict.chosen):
        return None
    return (
        f"The stored verdict was {_short(stored.outcome, stored.chosen)}; from the samples it is "
        f"{_short(verdict.outcome, verdict.chosen)}: they or the rule have changed since."
    )


def _short(outcome: str, chosen: int | None) -> str:
    return f"{outcome}, {MISSING if chosen is None else f'TP{chosen}'}"
