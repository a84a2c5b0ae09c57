"""The client's audit of itself: the reasons why a turn cannot be trusted, each with its figure and the bound."""

import dataclasses
import heapq
import typing

from optimal_tp.errors import quantity
from optimal_tp.measurement.counters.token_ledger import ANYTHING, Most, counter_reasons
from optimal_tp.measurement.distribution import percentile_of
from optimal_tp.measurement.samples import Sample, Status
from optimal_tp.measurement.turns import Turn

LEAST_RATE_SHARE = 0.99
"""Least achieved rate of an open schedule, as a share of the planned rate."""
LATENESS_FLOOR_MS = 5.0
"""The client may be this late at the 99th percentile, or by 1 % of the latency limit where that is more."""
LATENESS_SHARE = 0.01
LONGEST_PAUSE_FACTOR = 10
"""Longest pause of the client's clock that is allowed, as a multiple of the lateness bound."""
IN_FLIGHT_TOLERANCE = 0.05
"""A closed loop's mean of requests in flight may differ by this share: it includes the client's own turnaround."""
LITTLE_TOLERANCE = 0.01
"""The mean of requests in flight and rate x latency may differ by this share; both come from the same requests."""
_FEWEST_FOR_MEANS = 5


class AuditRow(typing.NamedTuple):
    """The part of a sample that the audit needs. A long run keeps these rows in memory and its samples on disk."""

    request: int
    intended_seconds: float
    sent_seconds: float | None
    end_seconds: float
    prompt_tokens: int | None
    output_tokens: int | None
    status: Status
    detail: str | None
    replica: int = 0


def row(sample: Sample) -> AuditRow:
    """Return the part of ``sample`` that the audit needs."""
    return AuditRow(
        sample.request,
        sample.intended_seconds,
        sample.sent_seconds,
        sample.end_seconds,
        sample.prompt_tokens,
        sample.output_tokens,
        sample.status,
        sample.detail,
        sample.replica,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """The plan of a turn, as far as Turn does not state it. None means not planned, so not checked."""

    prompt_tokens: int | None = None
    output_tokens: tuple[int, int] | None = None
    """Fewest and most of one request; planned only where the server was told not to stop early.

    A turn's uncounted requests may have fewer: some of them stand for requests that were already under way."""
    limit_ms: float | None = None
    """The strictest latency limit in force."""
    max_in_flight: int | None = None
    """Most requests in flight of an open schedule; a wait for a free place is the servers' delay, not the client's."""
    think_seconds: float = 0
    longest_lag_ms: float | None = None
    """Longest lateness of the client's clock, as Drive.lag_max_ms."""
    most: Most = ANYTHING
    """Most tokens of one request, including a request that was given up."""


def audit_turn(turn: Turn, samples: typing.Sequence[Sample | AuditRow], expected: Expected) -> tuple[str, ...]:
    """Return the reasons why ``turn`` is void; empty for a clean turn. ``samples`` must hold all of its requests."""
    ordered = sorted(samples, key=lambda sample: sample.request)
    bound = lateness_bound_ms(expected.limit_ms)
    reasons = (
        _whole(turn),
        _count(turn, ordered),
        _sockets(ordered),
        _rate(turn, ordered),
        _delay(ordered, expected, bound),
        _lag(turn, bound),
        _pause(expected.longest_lag_ms, bound),
        _prompt_tokens(_good(ordered), expected.prompt_tokens),
        _output_tokens(_good(ordered), expected.output_tokens, turn.uncounted),
        _chunks(_good(ordered)),
        _concurrency(turn, ordered, expected.think_seconds),
        _little(turn, ordered),
    )
    found = tuple(reason for reason in reasons if reason is not None)
    return (*found, *counter_reasons(turn.servers, ordered, expected.most))


def lateness_bound_ms(limit_ms: float | None) -> float:
    """Return by how much the client may be late at the 99th percentile under ``limit_ms``."""
    return max(LATENESS_FLOOR_MS, 0.0 if limit_ms is None else LATENESS_SHARE * limit_ms)


def _good(samples: typing.Sequence[Sample | AuditRow]) -> list[Sample | AuditRow]:
    return [sample for sample in samples if sample.status == "ok"]


def _whole(turn: Turn) -> str | None:
    if turn.counted is None or not turn.cut_short:
        return None
    own = quantity(turn.counted, "counted request", "counted requests")
    return f"the turn ended before its {own} did; the finished ones do not represent the rest"


def _count(turn: Turn, samples: typing.Sequence[Sample | AuditRow]) -> str | None:
    if turn.requests == len(samples) and len({sample.request for sample in samples}) == len(samples):
        return None
    made, kept = quantity(turn.requests, "request was", "requests were"), quantity(len(samples), "sample", "samples")
    return f"{made} made but {kept} kept; each request must have one sample"


def _sockets(samples: typing.Sequence[Sample | AuditRow]) -> str | None:
    lacking = sum(sample.status == "no_socket" for sample in samples)
    if not lacking:
        return None
    return (
        f"{quantity(lacking, 'request was', 'requests were')} not sent because this machine ran out of sockets; "
        "raise its limit of open files (ulimit -n) or send fewer requests at a time"
    )


def _rate(turn: Turn, samples: typing.Sequence[Sample | AuditRow]) -> str | None:
    """Compare the achieved rate with the planned one over the plan's length; a request never sent is not achieved.

    With counted requests the plan ends at the last of them: requests under way are then cancelled at once.
    """
    if turn.counted is not None:
        samples = [sample for sample in samples if sample.request < turn.uncounted + turn.counted]
    sent = sorted(sample.sent_seconds for sample in samples if sample.sent_seconds is not None)
    if turn.rate_per_second is None or len(samples) < _FEWEST_FOR_MEANS:
        return None
    first, last = samples[0].intended_seconds, samples[-1].intended_seconds
    if last <= first:
        return None
    planned = (len(samples) - 1) / (last - first)
    achieved = max(len(sent) - 1, 0) / (max(sent[-1], last) - first) if sent else 0.0
    if achieved >= LEAST_RATE_SHARE * planned:
        return None
    return (
        f"sent {achieved:.2f} requests/s of the {planned:.2f} planned ({100 * achieved / planned:.1f} %); "
        f"a valid turn sends at least {100 * LEAST_RATE_SHARE:.0f} %"
    )


def _delay(samples: typing.Sequence[Sample | AuditRow], expected: Expected, bound: float) -> str | None:
    late = percentile_of(sorted(own_delays_ms(samples, expected.max_in_flight)), 99)
    if late is None or late <= bound:
        return None
    return f"the client sent requests {late:.1f} ms late at the 99th percentile; a valid turn has at most {bound:g} ms"


def own_delays_ms(samples: typing.Sequence[Sample | AuditRow], max_in_flight: int | None) -> list[float]:
    """Return by how much each request was sent late, in order, less its wait for one of ``max_in_flight`` places."""
    delays = []
    ends: list[float] = []
    for sample in sorted(samples, key=lambda sample: sample.request):
        if sample.sent_seconds is None:
            continue
        ready = sample.intended_seconds
        while max_in_flight is not None and len(ends) >= max_in_flight:
            ready = max(ready, heapq.heappop(ends))
        heapq.heappush(ends, sample.end_seconds)
        delays.append(1000 * (sample.sent_seconds - ready))
    return delays


def _lag(turn: Turn, bound: float) -> str | None:
    late = turn.send_lag_p99_ms
    if late is None or late <= bound:
        return None
    return (
        f"the client's own clock ticked {late:.1f} ms late at the 99th percentile; "
        f"a valid turn has at most {bound:g} ms; give the client a core of its own"
    )


def _pause(longest_ms: float | None, bound: float) -> str | None:
    if longest_ms is None or longest_ms <= LONGEST_PAUSE_FACTOR * bound:
        return None
    return (
        f"the client paused for {longest_ms:.0f} ms; "
        f"a valid turn has no pause of more than {LONGEST_PAUSE_FACTOR * bound:g} ms"
    )


def _prompt_tokens(good: typing.Sequence[Sample | AuditRow], planned: int | None) -> str | None:
    if planned is None:
        return None
    counts = [(sample.prompt_tokens, planned) for sample in good]
    return _tokens("prompt", counts, (planned, planned))


def _output_tokens(
    good: typing.Sequence[Sample | AuditRow], planned: tuple[int, int] | None, uncounted: int
) -> str | None:
    if planned is None:
        return None
    counts = [(sample.output_tokens, 1 if sample.request < uncounted else planned[0]) for sample in good]
    return _tokens("output", counts, planned)


def _tokens(kind: str, counts: typing.Sequence[tuple[int | None, int]], planned: tuple[int, int]) -> str | None:
    """Compare each count with its own least and with the ``planned`` most."""
    words = str(planned[1]) if planned[0] == planned[1] else f"{planned[0]} to {planned[1]}"
    silent = sum(count is None for count, _ in counts)
    if silent:
        return f"the server counted no {kind} tokens for {silent} of {len(counts)} requests; {words} were planned"
    others = [count for count, least in counts if count is not None and not least <= count <= planned[1]]
    if not others:
        return None
    least, most = min(others), max(others)
    seen = str(least) if least == most else f"{least} to {most}"
    return (
        f"{words} {kind} tokens were planned, but for {len(others)} of {len(counts)} requests the server counted {seen}"
    )


def _chunks(good: typing.Sequence[Sample | AuditRow]) -> str | None:
    """Compare the chunks of each stream with the server's count: each chunk brings at least one token."""
    details = [sample.detail for sample in good if sample.detail is not None]
    if not details:
        return None
    return (
        f"{len(details)} of {len(good)} streams had more chunks with output than the server counted tokens, so its "
        f"count or its token times are wrong; the first: {details[0]}"
    )


def mean_in_flight(
    samples: typing.Iterable[Sample | AuditRow], start_seconds: float, end_seconds: float
) -> float | None:
    """Return the time average of requests in flight from start to end: each counts from its send to its end.

    None for an empty period. A request that was never sent was never in flight.
    """
    if end_seconds <= start_seconds:
        return None
    area = sum(
        max(min(sample.end_seconds, end_seconds) - max(sample.sent_seconds, start_seconds), 0.0)
        for sample in samples
        if sample.sent_seconds is not None
    )
    return area / (end_seconds - start_seconds)


def _concurrency(turn: Turn, samples: typing.Sequence[Sample | AuditRow], think_seconds: float) -> str | None:
    """Compare a closed loop's mean of requests in flight with its slots, up to the last planned send."""
    slots = turn.concurrency
    failed = any(sample.status != "ok" for sample in samples)  # slots pause after failures
    if slots is None or failed or len(samples) < _FEWEST_FOR_MEANS * slots:
        return None
    last = max(sample.intended_seconds for sample in samples)
    observed = mean_in_flight(samples, turn.start_seconds, last)
    if observed is None:
        return None
    pauses = think_seconds * sum(sample.end_seconds < last for sample in samples)
    wanted = slots - pauses / (last - turn.start_seconds)
    if abs(observed - wanted) <= IN_FLIGHT_TOLERANCE * wanted:
        return None
    return (
        f"{observed:.2f} requests were in flight on average, but the closed loop should keep {wanted:.2f}; "
        f"a valid turn differs by at most {100 * IN_FLIGHT_TOLERANCE:.0f} %"
    )


def _little(turn: Turn, samples: typing.Sequence[Sample | AuditRow]) -> str | None:
    """Compare mean requests in flight with rate x latency: lost, doubled or misdated samples make them differ."""
    durations = [sample.end_seconds - sample.sent_seconds for sample in samples if sample.sent_seconds is not None]
    end = turn.end_seconds
    if turn.counted is not None:  # uncounted ones end with the turn, a moment after the last counted one
        end = max([end, *(sample.end_seconds for sample in samples)])
    observed = mean_in_flight(samples, turn.start_seconds, end)
    if observed is None or len(durations) < _FEWEST_FOR_MEANS:
        return None
    unsent = len(samples) - len(durations)
    rate = (turn.requests - unsent) / (end - turn.start_seconds)
    wanted = rate * sum(durations) / len(durations)
    if abs(observed - wanted) <= LITTLE_TOLERANCE * max(wanted, observed):
        return None
    return (
        f"{observed:.3f} requests were in flight on average, but rate x latency gives {wanted:.3f} (Little's law); "
        f"a valid turn differs by at most {100 * LITTLE_TOLERANCE:.0f} %"
    )
