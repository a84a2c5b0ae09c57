"""One reading of a server's counters, and what it counted between two of them."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Gauges:
    """What a server says of one moment. None is: it does not say."""

    running: int | None = None
    """Requests that it works on."""
    waiting: int | None = None
    """Requests in its queue."""
    kv_use: float | None = None
    """Share of its KV cache in use, 0 to 1; of several engines the fullest."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What a server counts from its start on; or between two readings. None is: it does not say."""

    prompt_tokens: int | None = None
    """Of the requests that brought their first token."""
    generation_tokens: int | None = None
    requests: int | None = None
    """Requests that came to their own end; not the aborted ones."""
    preemptions: int | None = None
    """Times that a request lost its KV blocks to others and was computed again."""
    prefix_queries: int | None = None
    """Prompt tokens that were looked up in the prefix cache."""
    prefix_hits: int | None = None
    """Prompt tokens that it had."""
    queue_seconds: float | None = None
    """Sum of the time that requests waited in the queue."""
    queue_requests: int | None = None
    """Requests in that sum."""
    process_cpu_seconds: float | None = None
    """CPU time of the process that answers. The engine and its workers have processes of their own, which vLLM does not
    count here."""
    neff_executions: int | None = None
    """On Neuron: calls of a compiled graph."""
    padded_sequences: int | None = None
    """On Neuron: empty places in batches that were executed."""
    padded_tokens: int | None = None
    """On Neuron: tokens that only filled a bucket."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CounterReading:
    """What a server said at one moment."""

    epoch_seconds: float
    """The wall clock here when it was asked, since 1970."""
    started_epoch_seconds: float | None = None
    """When the process began that answered, by its own wall clock; None where several processes share the counters."""
    totals: Totals
    gauges: Gauges
    start_up_seconds: float | None = None
    """On Neuron: what the server took to start."""
    compile_seconds: float | None = None
    """On Neuron: compiling, of all buckets together; of several ranks the slowest."""
    load_seconds: float | None = None
    """On Neuron: loading the weights."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ServerCounts:
    """What one server said of one turn."""

    seconds: float
    """Between the two readings."""
    counted: Totals
    """Between them; empty where the counters began anew."""
    before: Gauges
    after: Gauges
    began_anew: bool = False
    """True where a counter fell, or the process that answered began in the turn."""
    start_up_seconds: float | None = None
    compile_seconds: float | None = None
    load_seconds: float | None = None

    @property
    def process_cores(self) -> float | None:
        """CPU cores that the answering process used on average; None where it does not say."""
        used = self.counted.process_cpu_seconds
        return None if used is None or self.seconds <= 0 else used / self.seconds


NAMES: typing.Final = tuple(field.name for field in dataclasses.fields(Totals))


def between(before: CounterReading, after: CounterReading) -> ServerCounts:
    """Return what the server counted from ``before`` to ``after``."""
    began_anew = are_other_counters(before, after)
    return ServerCounts(
        seconds=round(after.epoch_seconds - before.epoch_seconds, 3),
        counted=Totals() if began_anew else _difference(before.totals, after.totals),
        before=before.gauges,
        after=after.gauges,
        began_anew=began_anew,
        start_up_seconds=after.start_up_seconds,
        compile_seconds=after.compile_seconds,
        load_seconds=after.load_seconds,
    )


def are_other_counters(before: CounterReading, after: CounterReading) -> bool:
    """Whether the two are of different processes: a counter only rises, and a process begins once."""
    starts = {before.started_epoch_seconds, after.started_epoch_seconds} - {None}
    pairs = ((getattr(before.totals, name), getattr(after.totals, name)) for name in NAMES)
    return len(starts) > 1 or any(old is not None and new is not None and new < old for old, new in pairs)


def _difference(before: Totals, after: Totals) -> Totals:
    """Return ``after - before``. A counter that appears only after its first event, as a labelled one may, was 0."""
    values: dict[str, typing.Any] = {}
    for name in NAMES:
        old, new = getattr(before, name), getattr(after, name)
        values[name] = None if new is None else round(new - (old or 0), 6)
    return Totals(**values)


def of_all(several: typing.Sequence[ServerCounts | None]) -> ServerCounts | None:
    """Return what several clients of one server saw it count in a turn that they shared; None where one saw nothing.

    They read it before anybody's first request, and whoever ended last has seen all.
    """
    known = [one for one in several if one is not None]
    if not known or len(known) < len(several):
        return None
    last = max(known, key=lambda one: one.seconds)
    values: dict[str, typing.Any] = {
        name: max((value for one in known if (value := getattr(one.counted, name)) is not None), default=None)
        for name in NAMES
    }
    began_anew = any(one.began_anew for one in known)
    return dataclasses.replace(last, counted=Totals() if began_anew else Totals(**values), began_anew=began_anew)
