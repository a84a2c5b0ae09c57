"""One reading of a server's counters, and the difference between two readings."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Gauges:
    """A server's state at one moment. None means that the server does not report the figure."""

    running: int | None = None
    """Requests that the server works on."""
    waiting: int | None = None
    """Requests that wait in its queue."""
    kv_use: float | None = None
    """Share of its KV cache in use, 0 to 1; with several engines, the share of the fullest."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """A server's counters since its start, or between two readings. None means that it does not report the figure."""

    prompt_tokens: int | None = None
    """Prompt tokens of the requests that have produced their first token."""
    generation_tokens: int | None = None
    requests: int | None = None
    """Requests that ended by themselves, without aborted ones."""
    preemptions: int | None = None
    """How often a request lost its KV blocks to others and was computed again."""
    prefix_queries: int | None = None
    """Prompt tokens that were looked up in the prefix cache."""
    prefix_hits: int | None = None
    """Prompt tokens that the prefix cache held."""
    queue_seconds: float | None = None
    """Time that requests waited in the queue, summed."""
    queue_requests: int | None = None
    """Requests in that sum."""
    process_cpu_seconds: float | None = None
    """CPU time of the process that answers requests. vLLM does not count the engine and its workers here: they have
    processes of their own."""
    neff_executions: int | None = None
    """On Neuron: calls of a compiled graph."""
    padded_sequences: int | None = None
    """On Neuron: empty places in batches that were executed."""
    padded_tokens: int | None = None
    """On Neuron: tokens that only fill up a bucket."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CounterReading:
    """A server's counters and gauges at one moment."""

    epoch_seconds: float
    """When the server was asked, by the wall clock of this machine, since 1970."""
    started_epoch_seconds: float | None = None
    """When the answering process started, by its own wall clock; None where several processes share the counters."""
    totals: Totals
    gauges: Gauges
    start_up_seconds: float | None = None
    """On Neuron: time that the server took to start."""
    compile_seconds: float | None = None
    """On Neuron: time to compile all buckets; with several ranks, the time of the slowest."""
    load_seconds: float | None = None
    """On Neuron: time to load the weights."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ServerCounts:
    """One server's counters and gauges over one turn."""

    seconds: float
    """Time between the two readings."""
    counted: Totals
    """Counted between them; empty where the counters began anew."""
    before: Gauges
    after: Gauges
    began_anew: bool = False
    """True where a counter fell or the answering process started during the turn."""
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
    """Whether the readings come from different processes: a counter only rises, and a process starts once."""
    starts = {before.started_epoch_seconds, after.started_epoch_seconds} - {None}
    pairs = ((getattr(before.totals, name), getattr(after.totals, name)) for name in NAMES)
    return len(starts) > 1 or any(old is not None and new is not None and new < old for old, new in pairs)


def _difference(before: Totals, after: Totals) -> Totals:
    """Return ``after - before``. A counter may appear only after its first event (a labelled one does); it was 0."""
    values: dict[str, typing.Any] = {}
    for name in NAMES:
        old, new = getattr(before, name), getattr(after, name)
        values[name] = None if new is None else round(new - (old or 0), 6)
    return Totals(**values)


def of_all(several: typing.Sequence[ServerCounts | None]) -> ServerCounts | None:
    """Return one server's counts in a turn that several clients shared; None where one client could not read them.

    Every client read the counters before the first request of any. The client that ended last saw all requests.
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
