"""A turn, and what it measured: its samples, its throughput, the share within the limits."""

import dataclasses
import functools
import math
import operator
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.counters.reading import ServerCounts
from optimal_tp.measurement.samples import Sample, Stage
from optimal_tp.measurement.shares import Share

if typing.TYPE_CHECKING:
    # Every load imports this module, and the settings' library would take as long as the first request may.
    from optimal_tp.settings.workload import Limit, LimitedMetric


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One stretch of load on one degree. Times are seconds from the run's origin."""

    stage: Stage
    degree: int
    block: int | None
    concurrency: int | None
    rate_per_second: float | None
    start_seconds: float
    """First intended send."""
    end_seconds: float
    """Last byte of the last request; where the number of counted requests is fixed, the end of the last of those."""
    requests: int
    """Requests sent; every one has a sample."""
    send_lag_p99_ms: float | None
    """How late the client's own clock ticked beside the load, 99th percentile; None if it was not watched."""
    foreign_cpu_share: float | None
    """Share of all servers' cores taken by other processes; None where it cannot be seen."""
    throttled_periods: int | None = None
    """Periods in which a CPU quota throttled the client's container, with any servers in it; None without a count."""
    throttled_seconds: float | None = None
    """How long it throttled them; None without a count."""
    max_num_seqs: int | None = None
    """The batch of the servers, where the run compares several at this degree; None otherwise."""
    uncounted: int = 0
    """Requests at the beginning that bring the servers to their usual state and are not counted."""
    counted: int | None = None
    """Requests after those that are counted, a number fixed before the turn; None counts every later request."""
    cut_short: bool = False
    """True where the turn ended before its last request, or its last counted request, had ended."""
    longest_lag_ms: float | None = None
    """Longest time that the client's own clock stood still; None if it was not watched."""
    server_start: int | None = None
    """Number of the servers' start that the turn ran on, from 0; None where starts were not counted."""
    start_epoch_seconds: float | None = None
    """``start_seconds`` since 1970, by the wall clock as it stood at the turn's end; None in older records."""
    asked_seconds: float | None = None
    """The experiment's clock when it asked for the turn; every decision since the turn before was made then. None
    where nothing was decided, as in shares of a plan, and in older records."""
    servers: tuple[ServerCounts | None, ...] = ()
    """Each replica's own counts, None for a replica that reports none; empty where no replica does."""

    @property
    def is_beside_servers(self) -> bool:
        """Whether the servers ran on the client's machine: it watched their cores, and its CPU quota is theirs too."""
        return self.foreign_cpu_share is not None


Key = tuple[str | int | float | None, ...]
_key = operator.attrgetter("stage", "degree", "max_num_seqs", "block", "concurrency", "rate_per_second")


def key(item: Turn | Sample) -> Key:
    """Return what a turn and its samples have in common: stage, candidate, block, concurrency, rate."""
    return _key(item)


_candidate = functools.cache(Candidate)
"""A run has few candidates and thousands of samples, so each candidate is made once."""


def of(item: Turn | Sample) -> Candidate:
    """Return the candidate of ``item``, a turn or a sample."""
    return _candidate(item.degree, item.max_num_seqs)


def own_turn(turn: Turn, share: Share) -> Turn:
    """Return ``turn``, which describes all processes together, with the slots of the one process of ``share``.

    The servers count the requests of all processes, so their counts are left out where there are several.
    """
    if share.count > 1:
        turn = dataclasses.replace(turn, servers=())
    own = None if turn.concurrency is None else share.among(turn.concurrency)
    if own is None or turn.concurrency is None:
        return turn
    return dataclasses.replace(turn, concurrency=own.of(turn.concurrency))


def samples_by_turn(samples: typing.Iterable[Sample]) -> dict[Key, list[Sample]]:
    """Return the samples of each turn, in the order given."""
    grouped: dict[Key, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(_key(sample), []).append(sample)
    return grouped


def output_tokens_per_second(turn: Turn, samples: typing.Sequence[Sample]) -> float | None:
    """Return the output tokens per second of ``turn``; None where nothing was sent or a server gave no count.

    Closed loop: ``output tokens of ok in the window / window``. The window begins when every slot has ended its first
    request, because slots that begin together are served as they never are again. It ends when the first slot has no
    next request: with n slots, at the n-th end from the last. It also ends before the first cancelled request, whose
    tokens are unknown. A request's tokens are spread evenly from its first to its last token, without streaming from
    its send to its end. Failed requests and the pauses after them take time and give no tokens. None for an empty
    window.

    Otherwise ``sum(output_tokens of ok) / (turn.end_seconds - turn.start_seconds)``.
    """
    good = [sample for sample in samples if sample.status == "ok"]
    tokens = [sample.output_tokens for sample in good if sample.output_tokens is not None]
    if not samples or len(tokens) < len(good):
        return None
    if turn.concurrency is None or turn.rate_per_second is not None:
        elapsed_seconds = turn.end_seconds - turn.start_seconds
        return sum(tokens) / elapsed_seconds if elapsed_seconds > 0 else None
    begin, end = window_seconds(turn.concurrency, samples) or (0.0, 0.0)
    if end <= begin:
        return None
    shares = (_share_within(sample, begin, end) for sample in good)
    return math.fsum(share * count for share, count in zip(shares, tokens, strict=True)) / (end - begin)


def window_seconds(slots: int, samples: typing.Sequence[Sample]) -> tuple[float, float] | None:
    """Return when all ``slots`` of a closed loop had ended their first request, and until when all were busy.

    The second may lie before the first. None where a slot had no request.
    """
    if len(samples) < slots:
        return None
    firsts = sorted(samples, key=lambda sample: (sample.intended_seconds, sample.request))[:slots]
    # Each end is followed by a next request, except the ends of the slots' last requests: one for each slot.
    last_busy = sorted(sample.end_seconds for sample in samples)[-slots]
    cancelled = (sample.intended_seconds for sample in samples if sample.status == "cancelled")
    return max(sample.end_seconds for sample in firsts), min([last_busy, *cancelled])


def _share_within(sample: Sample, begin: float, end: float) -> float:
    """Return the share of its tokens that ``sample`` made after ``begin`` and up to ``end``."""
    if sample.token_seconds:
        first, last = sample.token_seconds[0], sample.token_seconds[-1]
    else:
        first = sample.begun_seconds
        last = sample.end_seconds
    if last <= first:
        return float(begin < first <= end)
    return max(min(last, end) - max(first, begin), 0.0) / (last - first)


def holds(sample: Sample, metric: "LimitedMetric", limit: "Limit") -> bool:
    """Whether ``sample`` succeeded within ``limit``; a failure, or a success without the figure, does not."""
    value = latency_ms(sample, metric)
    return value is not None and value <= limit.at_most_ms


def latency_ms(sample: Sample, metric: "LimitedMetric") -> float | None:
    """Return the limited figure of ``sample``; None for a failure."""
    value: float | None = getattr(sample, metric)
    return value


def counted(turn: Turn, samples: typing.Sequence[Sample]) -> list[Sample]:
    """Return the counted samples of ``turn``, without its warm-in and the requests after its last counted one."""
    end = math.inf if turn.counted is None else turn.uncounted + turn.counted
    return [sample for sample in samples if turn.uncounted <= sample.request < end]


def is_within(sample: Sample, limits: typing.Mapping["LimitedMetric", "Limit"]) -> bool:
    """Whether ``sample`` succeeded within every limit; a failed, refused or unfinished request did not."""
    return sample.status == "ok" and all(holds(sample, metric, limit) for metric, limit in limits.items())


def is_given_up(sample: Sample, limits: typing.Mapping["LimitedMetric", "Limit"]) -> bool:
    """Whether ``sample`` was cancelled after it had missed one of ``limits``: too slow, not refused or broken."""
    if sample.status != "cancelled":
        return False
    last = sample.end_seconds
    first = sample.token_seconds[0] if sample.token_seconds else last
    waited_ms = {
        "total_latency_ms": 1000 * (last - sample.intended_seconds),
        "ttft_ms": 1000 * (first - sample.intended_seconds),
    }
    return any(waited_ms.get(metric, 0.0) > limit.at_most_ms for metric, limit in limits.items())


def share_within(samples: typing.Sequence[Sample], limits: typing.Mapping["LimitedMetric", "Limit"]) -> float | None:
    """Return the share of ``samples``, 0 to 1, that succeed within every limit; None without samples."""
    return sum(is_within(sample, limits) for sample in samples) / len(samples) if samples else None
