"""Recompute the verdict of a stored run with the same audit and the same rule."""

import dataclasses
import json
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import MISSING
from optimal_tp.measurement.run import VERSION, RunRecord
from optimal_tp.measurement.run_audit import audit_run
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from optimal_tp.results.source import Source
from optimal_tp.verdict.findings import Outcome, Verdict
from optimal_tp.verdict.predictions import Predict, Prediction, agreed
from optimal_tp.verdict.rule import decide


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredVerdict:
    """The facts that every version of ``verdict.json`` states."""

    schema_version: int
    outcome: Outcome
    chosen: str | None
    """The candidate's name; version 1 has the degree alone."""


def read_stored(text: str) -> StoredVerdict:
    """Return the verdict in a ``verdict.json`` of any version up to this one.

    Raises ValueError for a text that is truncated, newer than this program, or not a verdict.
    """
    data = json.loads(text)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        found = "none" if version is None else repr(version)
        raise ValueError(
            f"schema_version must be from 1 to {VERSION} in a verdict (got {found}); "
            "read it with the program that wrote it"
        )
    held = data.get("verdict")
    if not isinstance(held, dict) or held.get("outcome") not in typing.get_args(Outcome):
        raise ValueError(f"the outcome of a verdict must be one of {', '.join(typing.get_args(Outcome))}")
    chosen = held.get("chosen")
    if isinstance(chosen, int):
        chosen = Candidate(chosen).name
    return StoredVerdict(schema_version=version, outcome=held["outcome"], chosen=chosen)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrial:
    """A run judged again."""

    record: RunRecord
    """Without the turns that the self-audit left out."""
    samples: tuple[Sample, ...]
    verdict: Verdict
    difference: str | None
    """How the stored verdict differs; None where it says the same or there is none."""
    prediction: Prediction | None = None
    """The plan's prediction; None where none was made."""
    left_out: tuple[tuple[Turn, str], ...] = ()
    """Turns that the audit left out, and why."""


def retry(source: Source, predict: Predict | None = None) -> Retrial:
    """Return the verdict on a stored run; with ``predict``, compared with the plan of the same run."""
    audited = audit_run(source.record, source.samples, source.faults)
    notes = (*source.notes, *audited.left_out)
    void = dict(audited.void_reasons)
    if source.void:
        void[None] = (*source.void, *void.get(None, ()))
    verdict = decide(audited.record, audited.samples, void, notes)
    prediction = None if predict is None else predict(audited.record, audited.samples, verdict)
    if prediction is not None:
        verdict = agreed(verdict, prediction)
    return Retrial(
        record=audited.record,
        samples=audited.samples,
        verdict=verdict,
        difference=_difference(source.stored_verdict, verdict),
        prediction=prediction,
        left_out=audited.dropped,
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
        f"The stored verdict was {_short(stored.outcome, stored.chosen)}; recomputed it is "
        f"{_short(verdict.outcome, verdict.chosen)}: the samples or the rule have changed."
    )


def _short(outcome: str, chosen: str | None) -> str:
    return f"{outcome}, {chosen or MISSING}"
