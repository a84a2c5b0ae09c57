"""A stretch of load, its target and its outcome, as plain values without sockets."""

import dataclasses
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.counted import Counted
from optimal_tp.measurement.samples import Stage
from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.plan.schedule import Arrivals

if typing.TYPE_CHECKING:
    # Every load imports this module, and the settings' library would take as long as the first request may.
    from optimal_tp.settings.workload import Api, Routing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """The servers of one degree."""

    urls: tuple[str, ...]
    """One per replica. With several, open arrivals are routed, and each slot of a closed loop keeps its replica."""
    model: str
    """The name that requests carry."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """One stretch of load on one target."""

    stage: Stage
    degree: int
    max_num_seqs: int | None = None
    """The batch of the servers, if the run measures the degree with several."""
    block: int | None
    arrivals: Arrivals
    seconds: float | None
    """Length of the stretch: all sends are intended before its end; None: no bound."""
    requests: int | None = None
    """Most requests; None: no bound."""
    max_tokens: int
    """Output tokens that each request asks for, unless its prompt has a number of its own."""
    output_range: tuple[int, int] | None = None
    """Least and most output tokens, in place of ``max_tokens``: each request draws its number from this range."""
    seed: int = 0
    """Seed of the lengths and of random routing."""
    routing: "Routing" = "round-robin"
    """Which replica gets the next request of open arrivals."""
    api: "Api" = "completions"
    """Endpoint of the requests."""
    stream: bool = True
    temperature: float | None = 1.0
    """None leaves it to the server."""
    ignore_eos: bool = False
    """Ask vLLM for exactly ``max_tokens``; other servers may refuse the key."""
    request_timeout_seconds: float = 60
    """Counted from the send; for an open arrival that waits for a free place, from its intended send."""
    max_in_flight: int | None = None
    """Bound for open arrivals: further ones wait, and their latency counts from the intended send."""
    grace_seconds: float = 5
    """Time for requests in flight after a stop, before they are labelled ``cancelled``."""
    counted: Counted | None = None
    """The requests that count. Once the outcome of each is known, the stretch ends at once; None: wait for all."""
    origin: float | None = None
    """The clock at the run's origin; None: the stretch's start."""
    begin: float | None = None
    """The clock at the stretch's start; None: the moment when the client is ready."""
    share: Share = WHOLE
    """The part of the load that this process sends (``schedule.own_share``). Samples number the whole load."""

    @property
    def candidate(self) -> Candidate:
        """Return the candidate whose servers are loaded."""
        return Candidate(self.degree, self.max_num_seqs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drive:
    """The outcome of a stretch, apart from its samples. Times are seconds from the run's origin."""

    intended: int
    """Requests in the schedule; each has one sample."""
    sent: int
    """Requests of which at least one byte was written."""
    start_seconds: float
    """First intended send."""
    end_seconds: float
    """End of the last counted request, or, without counted requests, of the last one; the start if there was none."""
    whole: bool
    """False if ``stop`` or a lack of prompts ended it early."""
    in_flight_at_end: int
    """Requests that ended after the time for sends was over."""
    lag_p99_ms: float | None
    """Lateness of the client's own timer during the load; None if it never ticked."""
    lag_max_ms: float | None
