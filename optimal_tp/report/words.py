"""Short words of a report: what a candidate's word means to a reader, and what a run's place makes of its figures."""

from optimal_tp.measurement.estimate import Interval, bounds, figure, percent
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


def capital(words: str) -> str:
    """Return ``words`` with a capital first letter, and the rest as it is."""
    return words[:1].upper() + words[1:]


def holds(caveat: str) -> str:
    """Return a verdict's caveat as a sentence: most of them begin with what the answer holds for."""
    is_fragment = caveat.startswith(("for ", "in undisturbed ", "in the hour ", "at "))
    return f"It holds {caveat}." if is_fragment else f"{capital(caveat)}."


def unanswered(failed: int, given_up: int) -> str:
    """Return how many requests have no whole answer: "no failures", "none failed, 27 given up after missing a limit".

    One that was ``given_up`` was too slow; one that ``failed`` was refused, broken off or answered with an error.
    """
    if not given_up:
        return f"{failed:,} failed" if failed else "no failures"
    return f"{f'{failed:,}' if failed else 'none'} failed, {given_up:,} given up after missing a limit"


def latency_words(value_ms: float) -> str:
    """Return a latency as a person says it: "750 ms", "2.25 s"."""
    return f"{figure(value_ms)} ms" if value_ms < 1000 else f"{value_ms / 1000:.3g} s"  # noqa: PLR2004 - a second


def span(from_ms: float, to_ms: float) -> str:
    """Return two limits with one unit where they share it: "1.3 to 2.25 s"."""
    low, high = latency_words(from_ms), latency_words(to_ms)
    same = low.rpartition(" ")[2] == high.rpartition(" ")[2]
    return f"{low.rpartition(' ')[0]} to {high}" if same else f"{low} to {high}"


def latency_range(interval: Interval) -> str:
    """Return the range of a latency in the unit that its value is said in: "2.09 to 2.82 s", "at least 2.78 s"."""
    if interval.low is not None and interval.high is not None:
        return span(interval.low, interval.high)
    if interval.low is not None:
        return f"at least {latency_words(interval.low)}"
    return bounds(interval) if interval.high is None else f"at most {latency_words(interval.high)}"
