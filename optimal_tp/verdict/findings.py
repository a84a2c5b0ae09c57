"""What a verdict consists of: one word per candidate, the number that decided it, and how sure that is."""

import dataclasses
import typing

from optimal_tp.errors import Exit
from optimal_tp.facts.candidates import CandidateRow
from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.settings.workload import LimitedMetric

Word = typing.Literal[
    "no-fit",
    "no-compile",
    "no-capacity",
    "no-start",
    "invalid",
    "misses-slo",
    "dominated",
    "chosen",
    "inconclusive",
]
Outcome = typing.Literal["settled", "inconclusive", "void"]
Criterion = typing.Literal["goodput", "throughput"]
"""What candidates are compared by: the highest rate of requests per core within the limits, or, without limits,
saturated output tokens/s per core."""

EXIT_STATUS: dict[Outcome, Exit] = {"settled": Exit.GOOD, "inconclusive": Exit.OPEN, "void": Exit.VOID}
"""The exit status of a run, by outcome."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ground:
    """The number that decided a candidate's word."""

    metric: str
    """The metric that decided: a name of the metric table, or a gate's own word."""
    observed: float | None
    """None where nothing was measured."""
    interval: Interval | None
    """Values that the data do not reject, at the confidence of the decision."""
    threshold: float | None
    """The value that it was compared with; None for a gate that names its number in the sentence."""
    unit: str
    sentence: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitFinding:
    """One latency limit of one candidate, in its blocks: turns near its own capacity."""

    metric: LimitedMetric
    percent: float
    """The share of requests that must hold the limit, in percent."""
    at_most_ms: float
    requests: int
    hits: int
    """Requests that succeeded within the limit."""
    latency_ms: Estimate | None
    """The percentile itself with bounds from order statistics; None where it falls on a failed request."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """What turns after the choice prove about a candidate's goodput, each side at ``(1 - confidence) / 2``.

    The proof bets on whole turns. It holds whatever happens within a turn, as long as turns are exchangeable.
    """

    held_per_second_per_core: float | None
    """Highest rate of requests per core shown to hold the limits; None for none yet."""
    missed_per_second_per_core: float | None
    """Lowest rate shown to miss them; None for none yet."""
    turns: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class DegreeVerdict(CandidateRow):
    """One candidate: its word, the ground for it, and the figures beside it."""

    word: Word
    ground: Ground
    reasons: tuple[str, ...]
    """Further sentences, the most telling first."""
    cores_used: int | None
    """Logical cores of all replicas; None for a candidate that has no record."""
    concurrency: int | None
    """Requests in flight in its blocks; None with open arrivals or without blocks."""
    blocks: int
    """Sound turns in blocks."""
    disturbed: int
    """Of those, turns slower than their rate can explain: listed, not compared."""
    requests: int
    """Counted requests of its blocks."""
    failures: int
    """Of these, requests without a whole answer, for any reason."""
    given_up: int
    """Of the failures, requests that were cancelled after they had missed a limit: slow, but not refused or broken."""
    goodput_per_second_per_core: float | None
    """Requests per second per core at which the asked share holds the limits, as fitted: approximate, with a bias of a
    few percent. None without limits, and where no turn held them."""
    proof: Proof | None
    """What is proven about it; None where no proof was tried."""
    tokens_per_second_per_core: Estimate | None
    """Output tokens per second per logical core in the blocks: geometric mean."""
    median_latency_ms: Estimate | None
    """Median total latency in the blocks; None where it falls on failed requests."""
    share_within: float | None
    """Share of requests in the blocks, 0 to 1, that hold every limit; without limits the share that succeeds."""
    limits: tuple[LimitFinding, ...]

    @property
    def failed(self) -> int:
        """Counted requests that were refused, broken off or answered with an error."""
        return self.failures - self.given_up

    @property
    def met_limits(self) -> bool:
        """Whether the limits were held at a rate that was tried, or each of them over all requests of the blocks."""
        alone = bool(self.limits) and all(100 * one.hits >= one.percent * one.requests for one in self.limits)
        return self.goodput_per_second_per_core is not None or alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two candidates compared block by block: performance per core of ``first`` divided by that of ``second``."""

    first: str
    second: str
    blocks: int
    """Blocks in which both were compared."""
    ratio: Estimate | None
    """Geometric mean ratio with its confidence sequence; None where it cannot be formed."""
    log_deviation: float | None
    """Standard deviation of the paired differences, widened where neighbouring blocks resemble each other."""
    word: typing.Literal["better", "worse", "equal", "at most better", "at most worse", "open"]
    """What is shown about ``first``: better or worse; equal within the resolution; at most the resolution better or
    worse; ``open``: nothing yet."""
    alpha: float
    """This comparison's share of the error budget."""
    why_open: str | None
    """Why nothing may be claimed yet; None where it may."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outlook:
    """What would settle an open question, if the run continues as before."""

    question: str
    blocks: int | None
    """Further blocks; None where no reachable number is enough."""
    seconds: float | None
    usd: float | None
    """None without a price."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer: what is chosen, how sure it is, and why each candidate got its word."""

    outcome: Outcome
    criterion: Criterion
    chosen: str | None
    """The candidate's name; None where nothing qualifies, or the run does not settle it."""
    chosen_degree: int | None
    provisional: str | None
    """The candidate that leads so far, where the run does not settle the choice. None where it does, and where no
    candidate held the limits at any rate."""
    reasons: tuple[str, ...]
    """Why a run is void or not settled; empty for a settled one."""
    caveats: tuple[str, ...]
    """Conditions under which a settled answer holds, one sentence each: "for these server processes", disturbances,
    trends."""
    notes: tuple[str, ...]
    """What was left out, one sentence each."""
    degrees: tuple[DegreeVerdict, ...]
    """Candidates in rising order."""
    comparisons: tuple[Comparison, ...]
    outlook: tuple[Outlook, ...]
    """Empty for a settled verdict."""
    confidence: float
    resolution: float
    """No other candidate can be more than this share better than the chosen one."""
    blocks: int
    """Blocks that were measured."""

    @property
    def none_met(self) -> bool:
        """Whether candidates were measured against limits and none ever held them."""
        measured = [one for one in self.degrees if one.blocks]
        return self.criterion == "goodput" and bool(measured) and not any(one.met_limits for one in measured)

    @property
    def at_one_point(self) -> tuple[DegreeVerdict, ...]:
        """Candidates measured at the compared point; with limits, without those that ran one request at a time."""
        return tuple(one for one in self.degrees if self.criterion == "throughput" or one.concurrency is None)
