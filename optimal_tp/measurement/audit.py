"""The client's audit of itself: reasons why a turn cannot be trusted, each with what was late and by how much."""

import dataclasses
import heapq
import typing

from optimal_tp.errors import quantity
from optimal_tp.measurement.counters.token_ledger import ANYTHING, Most, counter_reasons
from optimal_tp.measurement.distribution import percentile_of
from optimal_tp.measurement.samples import Sample, Status
from optimal_tp.measurement.turns import Turn

LEAST_RATE_SHARE = 0.99
"""Achieved rate of an open schedule, as a share of the planned one."""
LATENESS_FLOOR_MS = 5.0
"""The client may be this late at the 99th percentile, or 1 % of the limit where that is more."""
LATENESS_SHARE = 0.01
LONGEST_PAUSE_FACTOR = 10
"""One pause of the client's clock may last so many times the lateness bound."""
IN_FLIGHT_TOLERANCE = 0.05
"""A closed loop's mean in flight may differ by this share: the turnaround of the client itself is part of it."""
LITTLE_TOLERANCE = 0.01
"""Mean in flight and rate x latency may differ by this share; both come from the same requests."""
_FEWEST_FOR_MEANS = 5


class AuditRow(typing.NamedTuple):
    """What the audit needs of a sample: a long run keeps these in memory and its samples on disk."""

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
    """Return what the audit needs of ``sample``."""
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
    """What a turn was meant to be, beside what Turn itself says. None is: not planned, not checked."""

    prompt_tokens: int | None = None
    output_tokens: tuple[int, int] | None = None
    """Least and most of a request; planned only where the server was told not to stop early.

    A turn's uncounted requests may have fewer: some of them stand for requests under way."""
    limit_ms: float | None = None
    """The strictest latency limit in force."""
    max_in_flight: int | None = None
    """Bound of an open schedule; waiting for a free place is the servers' doing."""
    think_seconds: float = 0
    longest_lag_ms: float | None = None
    """Longest lateness of the client's clock, as Drive.lag_max_ms."""
    most: Most = ANYTHING
    """Most tokens of one request, also of one that was given up."""


def audit_turn(turn: Turn, samples: typing.Sequence[Sample | AuditRow], expected: Expected) -> tuple[str, ...]:
    """Return the reasons why ``turn`` is void, none for a clean one; ``samples`` are all of its requests."""
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
    """Return how late the client may be at the 99th percentile under ``limit_ms``."""
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
    """Compare sends with the plan over the plan's own length; a request that was never sent was not achieved.

    With counted requests the plan is that up to the last of them: what is on its way then is ended at once.
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
    """Return how late each request was sent, in order, without its wait for a free place among ``max_in_flight``."""
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
    """Hold each count against its own least and the ``planned`` most."""
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
    """Hold the output of each stream against the server's count: a chunk brings at least one token."""
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

    None for an empty stretch of time. A request that was never sent was never in flight.
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
    """Hold a closed loop's mean in flight against its slots, until the first of them found the time over."""
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
    """Hold the measured mean in flight against rate x latency: lost, doubled or misdated samples break it."""
    durations = [sample.end_seconds - sample.sent_seconds for sample in samples if sample.sent_seconds is not None]
    end = turn.end_seconds
    if turn.counted is not None:  # others end with the turn, a moment after the last counted one
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
