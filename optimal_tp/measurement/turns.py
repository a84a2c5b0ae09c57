"""A turn, and what it measured: its samples, its throughput, the share within the limits."""

import dataclasses
import math
import typing

from optimal_tp.facts.candidates import Candidate
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
    """Last byte of the last request; with a number of counted requests, the end of the last of those."""
    requests: int
    """Requests sent; every one has a sample."""
    send_lag_p99_ms: float | None
    """How late the client's own clock ticked beside the load, 99th percentile; None if it was not watched."""
    foreign_cpu_share: float | None
    """Share of all servers' cores taken by other processes; None where it cannot be seen."""
    throttled_periods: int | None = None
    """Periods in which a container's CPU quota held servers or client back; None where none is counted."""
    max_num_seqs: int | None = None
    """The batch of the servers, where the run has the degree with several."""
    uncounted: int = 0
    """Requests, from the first, that let the servers reach their usual state and count for nothing."""
    counted: int | None = None
    """Requests after those that count, a number fixed before the turn; None counts every request after those."""
    cut_short: bool = False
    """True where something ended it before its last request, or its counted ones, had come to their end."""
    longest_lag_ms: float | None = None
    """Longest that the client's own clock stood still; None if it was not watched."""
    server_start: int | None = None
    """Which start of its servers the turn was on, from 0; None where nobody counted."""
    start_epoch_seconds: float | None = None
    """``start_seconds`` on the wall clock as it stood at the turn's end, since 1970; None in records without it."""


Key = tuple[str, Candidate, int | None, int | None, float | None]


def key(item: Turn | Sample) -> Key:
    """Return what a turn and its samples have in common: stage, candidate, block, concurrency, rate."""
    return (item.stage, of(item), item.block, item.concurrency, item.rate_per_second)


def of(item: Turn | Sample) -> Candidate:
    """Return whose turn or sample ``item`` is."""
    return Candidate(item.degree, item.max_num_seqs)


def own_turn(turn: Turn, share: Share) -> Turn:
    """Return ``turn``, which says what all processes did, with the slots that ``share`` of them had."""
    own = None if turn.concurrency is None else share.among(turn.concurrency)
    if own is None or turn.concurrency is None:
        return turn
    return dataclasses.replace(turn, concurrency=own.of(turn.concurrency))


def samples_by_turn(samples: typing.Iterable[Sample]) -> dict[Key, list[Sample]]:
    """Return the samples of each turn, in the order given."""
    grouped: dict[Key, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(key(sample), []).append(sample)
    return grouped


def output_tokens_per_second(turn: Turn, samples: typing.Sequence[Sample]) -> float | None:
    """Return the output tokens per second of ``turn``; None where nothing was sent or a server kept its count.

    Closed loop: ``concurrency * sum(output_tokens of ok) / sum(end_seconds - intended_seconds of all)``. Every slot is
    busy from the first request to its last, so Little's law makes this exact, with no edge at the turn's end; failed
    requests cost time and give no tokens. Otherwise
    ``sum(output_tokens of ok) / (turn.end_seconds - turn.start_seconds)``.
    """
    counts = [sample.output_tokens for sample in samples if sample.status == "ok"]
    tokens = [count for count in counts if count is not None]
    if not samples or len(tokens) < len(counts):
        return None
    if turn.concurrency is not None and turn.rate_per_second is None:
        busy_seconds = math.fsum(sample.end_seconds - sample.intended_seconds for sample in samples)
        return turn.concurrency * sum(tokens) / busy_seconds if busy_seconds > 0 else None
    elapsed_seconds = turn.end_seconds - turn.start_seconds
    return sum(tokens) / elapsed_seconds if elapsed_seconds > 0 else None


def holds(sample: Sample, metric: "LimitedMetric", limit: "Limit") -> bool:
    """Whether ``sample`` succeeded within ``limit``; a failure, or a success without the figure, does not."""
    value = latency_ms(sample, metric)
    return value is not None and value <= limit.at_most_ms


def latency_ms(sample: Sample, metric: "LimitedMetric") -> float | None:
    """Return the limited figure of ``sample``; None for a failure."""
    value: float | None = getattr(sample, metric)
    return value


def counted(turn: Turn, samples: typing.Sequence[Sample]) -> list[Sample]:
    """Return the samples of ``turn`` that count: its warm-in and what came after its last counted request do not."""
    end = math.inf if turn.counted is None else turn.uncounted + turn.counted
    return [sample for sample in samples if turn.uncounted <= sample.request < end]


def is_within(sample: Sample, limits: typing.Mapping["LimitedMetric", "Limit"]) -> bool:
    """Whether ``sample`` succeeded within every limit; a failed, refused or unfinished request is not."""
    return sample.status == "ok" and all(holds(sample, metric, limit) for metric, limit in limits.items())


def share_within(samples: typing.Sequence[Sample], limits: typing.Mapping["LimitedMetric", "Limit"]) -> float | None:
    """Return the share of ``samples``, 0 to 1, that succeed within every limit; None of none."""
    return sum(is_within(sample, limits) for sample in samples) / len(samples) if samples else None
