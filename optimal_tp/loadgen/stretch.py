"""What a load is asked to be, of whom, and what it came to: values, without a socket."""

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
    """One per replica; with more than one, open arrivals are routed, and each slot of a closed loop keeps to one."""
    model: str
    """The name that requests carry."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """One stretch of load on one target."""

    stage: Stage
    degree: int
    max_num_seqs: int | None = None
    """The batch of the servers, where the run has the degree with several."""
    block: int | None
    arrivals: Arrivals
    seconds: float | None
    """Sends are intended before this, from the stretch's start; None is no bound."""
    requests: int | None = None
    """Most requests; None is no bound."""
    max_tokens: int
    """Output tokens that each request asks for, unless its prompt says another number."""
    output_range: tuple[int, int] | None = None
    """Least and most output tokens, in place of ``max_tokens``: each request asks for one number of these, drawn."""
    seed: int = 0
    """Of the lengths, and of random routing."""
    routing: "Routing" = "round-robin"
    """Which replica gets the next request of open arrivals."""
    api: "Api" = "completions"
    """Which of the servers' calls requests are made to."""
    stream: bool = True
    temperature: float | None = 1.0
    """None leaves it to the server."""
    ignore_eos: bool = False
    """Ask vLLM for exactly ``max_tokens``; other servers may refuse the key."""
    request_timeout_seconds: float = 60
    """From the send; and for an open arrival that waits for a free place, from its intended send."""
    max_in_flight: int | None = None
    """Bound for open arrivals: the next one waits, and its latency runs from when it was intended."""
    grace_seconds: float = 5
    """After a stop, requests in flight have this long before they are labelled ``cancelled``."""
    counted: Counted | None = None
    """Which requests count: once it is known what becomes of each, the stretch ends at once; None waits for all."""
    origin: float | None = None
    """The clock at the run's origin; None takes the stretch's start."""
    begin: float | None = None
    """The clock at the stretch's start; None takes the moment at which the client is ready."""
    share: Share = WHOLE
    """What of it is sent from here, as ``schedule.own_share`` says; samples carry the load and numbers of the whole."""

    @property
    def candidate(self) -> Candidate:
        """Return whose servers are loaded."""
        return Candidate(self.degree, self.max_num_seqs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drive:
    """What a stretch came to, beside its samples. Times are seconds from the run's origin."""

    intended: int
    """Requests that the schedule wanted; each has one sample."""
    sent: int
    """Requests of which a byte was written."""
    start_seconds: float
    """First intended send."""
    end_seconds: float
    """End of the last counted request, or of the last one at all; the start if there was none."""
    whole: bool
    """False where ``stop`` or the prompts ended it before it had come to its own end."""
    in_flight_at_end: int
    """Requests that ended after the time for sends was over."""
    lag_p99_ms: float | None
    """Lateness of the client's own clock beside the load; None if it never ticked."""
    lag_max_ms: float | None
