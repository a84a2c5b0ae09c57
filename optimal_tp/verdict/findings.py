"""What a verdict consists of: one word per degree, the number that decided it, and how sure that is."""

import dataclasses
import typing

from optimal_tp.errors import Exit
from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.settings.workload import LimitedMetric

Word = typing.Literal[
    "no-fit",
    "no-compile",
    "no-capacity",
    "invalid",
    "misses-slo",
    "dominated",
    "chosen",
    "inconclusive",
]
Outcome = typing.Literal["settled", "inconclusive", "void"]

EXIT_STATUS: dict[Outcome, Exit] = {"settled": Exit.GOOD, "inconclusive": Exit.OPEN, "void": Exit.VOID}
"""What a shell sees at the end of a run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ground:
    """The number that decided a degree's word."""

    metric: str
    """What was looked at: a name of the metric table, or a gate's own word."""
    observed: float | None
    """None where nothing was measured."""
    interval: Interval | None
    """Values that the data do not refuse, at the confidence the decision used."""
    threshold: float | None
    """What it was held against; None for a gate that names its number in the sentence."""
    unit: str
    sentence: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitFinding:
    """One latency limit at one degree."""

    metric: LimitedMetric
    percent: float
    """The share of requests that must hold the limit, in percent."""
    at_most_ms: float
    requests: int
    hits: int
    """Requests that succeeded within the limit."""
    design_effect: float
    """By how much turns differ more than independent requests would; the counts are divided by it."""
    share: Interval
    """Confidence sequence of the share of requests within the limit, 0 to 1."""
    latency_ms: Estimate | None
    """The percentile itself with bounds from order statistics; None where it falls on a failed request."""
    word: typing.Literal["holds", "misses", "inconclusive"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DegreeVerdict:
    """One degree: its word, the ground for it, and the figures beside it."""

    degree: int
    word: Word
    ground: Ground
    reasons: tuple[str, ...]
    """Further sentences, the most telling first."""
    cores_used: int | None
    """Logical cores of all replicas; None for a degree that has no record."""
    concurrency: int | None
    """Requests in flight in its blocks; None with open arrivals or without blocks."""
    blocks: int
    requests: int
    failures: int
    tokens_per_second: float | None
    """Geometric mean over blocks, all replicas together."""
    tokens_per_second_per_core: Estimate | None
    """Geometric mean over blocks, per logical core used, with its own confidence sequence."""
    goodput: float | None
    """Share of requests that hold every limit, 0 to 1; without limits the share that succeeds."""
    limits: tuple[LimitFinding, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two degrees, block by block: throughput per core of ``first`` over that of ``second``."""

    first: int
    second: int
    blocks: int
    """Blocks in which both were measured."""
    ratio: Estimate | None
    """Geometric mean ratio with its confidence sequence; None where it cannot be formed."""
    log_deviation: float | None
    """Standard deviation of the paired differences of log throughput per core."""
    autocorrelation: Estimate | None
    """Of the differences at lag one; None below 4 blocks."""
    batch: int
    """Blocks averaged together before the interval was formed; 1 where neighbours do not resemble each other."""
    alpha: float
    """This comparison's share of the error budget."""
    why_no_ratio: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outlook:
    """What would settle an open question, if what was seen goes on."""

    question: str
    blocks: int | None
    """Further blocks; None where no reachable number is enough."""
    seconds: float | None
    usd: float | None
    """None without a price."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer: what is chosen, how sure it is, and why each degree got its word."""

    outcome: Outcome
    chosen: int | None
    """The degree; None where nothing qualifies, or the run does not settle it."""
    provisional: int | None
    """Where the run does not settle it: the degree the rule would name on what was seen; else None."""
    reasons: tuple[str, ...]
    """Why a run is void or not settled; empty for a settled one."""
    notes: tuple[str, ...]
    """What was left out, one sentence each."""
    degrees: tuple[DegreeVerdict, ...]
    """In rising order."""
    comparisons: tuple[Comparison, ...]
    outlook: tuple[Outlook, ...]
    """Empty for a settled verdict."""
    confidence: float
    margin: float
    """Two degrees within this share of each other count as equal: log scale."""
    blocks: int
    """Blocks that every measured degree completed."""
