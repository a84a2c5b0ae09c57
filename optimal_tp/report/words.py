"""Short words of a report: what a candidate's word means to a reader, and what a run's place makes of its figures."""

from optimal_tp.measurement.estimate import figure, percent
from optimal_tp.measurement.run import RunRecord
from optimal_tp.verdict.comparisons import turned_to
from optimal_tp.verdict.findings import DegreeVerdict, Verdict, Word

PLAIN: dict[Word, str] = {
    "no-fit": "not tested",
    "no-compile": "did not compile",
    "no-capacity": "no node available",
    "no-start": "did not start",
    "invalid": "not valid",
    "misses-slo": "misses the limit",
    "dominated": "no better",
    "chosen": "chosen",
    "inconclusive": "open",
}
"""A verdict's words as a reader meets them; verdict.json keeps the words themselves."""


def badge(verdict: Verdict, degree: DegreeVerdict) -> str:
    """Return what became of a candidate, in two to five words: "26 % less per core", "not tested"."""
    if degree.word == "inconclusive" and degree.name == verdict.provisional:
        return "leads so far"
    named = verdict.chosen
    found = None if named is None else turned_to(verdict.comparisons, degree.name, named)
    if degree.word == "dominated" and found is not None and found.ratio is not None:
        if found.ratio.interval.is_below(1.0):
            return f"{100 * (1 - found.ratio.value):.0f} % less per core"
        return f"within {percent(verdict.resolution)}, no better"
    return PLAIN[degree.word]


def practice(record: RunRecord) -> str | None:
    """Return what a reader must know first of a run on this machine; None for a run on somebody's servers or on AWS."""
    if record.place != "local":
        return None
    random = record.settings.model.revision == "random-weights" or record.pins.get("weights", "").startswith("random")
    weights = " with random weights" if random else ""
    return f"Practice run on CPU cores{weights}: it shows how optimal-tp works, not how Trainium2 performs."


def caveats(record: RunRecord, verdict: Verdict) -> tuple[str, ...]:
    """Return everything that limits the answer, one sentence each, the weightiest first."""
    first = practice(record)
    return (*([] if first is None else [first]), *map(holds, verdict.caveats))


def holds(caveat: str) -> str:
    """Return a verdict's caveat as a sentence: most of them begin with what the answer holds for."""
    is_fragment = caveat.startswith(("for ", "in ", "at "))
    return f"It holds {caveat}." if is_fragment else f"{caveat[:1].upper()}{caveat[1:]}."


def latency_words(value_ms: float) -> str:
    """Return a latency as a person says it: "750 ms", "2.25 s"."""
    return f"{figure(value_ms)} ms" if value_ms < 1000 else f"{value_ms / 1000:.3g} s"  # noqa: PLR2004 - a second
