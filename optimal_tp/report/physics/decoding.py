"""What the decode steps of a turn read, from the times of its tokens: the ground for model bandwidth utilisation."""

import collections
import collections.abc
import dataclasses

from optimal_tp.measurement.samples import Sample
from optimal_tp.plan.roofline.floors import ModelledServer
from optimal_tp.plan.roofline.work import mean_seen_context


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoding:
    """Sums over requests of the time from their first to their last token, which their decode steps fill."""

    seconds: float = 0.0
    steps: float = 0.0
    core_bytes: float = 0.0
    """That each core read in these steps: the weights once a step, and keys and values of all sequences in it."""
    sequence_steps: float = 0.0
    """Sequences in these steps, summed."""
    compute_seconds: float = 0.0
    """The least that the steps take to compute."""

    def __add__(self, other: "Decoding") -> "Decoding":
        names = [field.name for field in dataclasses.fields(self)]
        return Decoding(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclasses.dataclass(frozen=True)
class _Life:
    """One request between its first and its last token."""

    first: float
    last: float
    steps: int
    kv_bytes: tuple[float, float]
    """Read by each core in its first and in its last step."""
    compute_seconds: float
    """Of its mean step alone."""


def decoding(
    server: ModelledServer, samples: collections.abc.Iterable[Sample], counted: collections.abc.Collection[int]
) -> Decoding:
    """Return what the decode steps of a turn's ``counted`` requests, by number, read at servers like ``server``.

    A lower bound, as far as the steps of one request are equally long: prefills and requests that failed read as well,
    and nobody knows when.
    """
    by_replica: dict[int, list[tuple[int, _Life]]] = collections.defaultdict(list)
    for sample in samples:
        life = _life(server, sample)
        if life is not None:
            by_replica[sample.replica].append((sample.request, life))
    own = (_of_replica(server, lives, counted) for lives in by_replica.values())
    return sum(own, Decoding())


def _life(server: ModelledServer, sample: Sample) -> _Life | None:
    """Return when ``sample`` decoded; None where nobody can tell."""
    prompt, output, moments = sample.prompt_tokens, sample.output_tokens, sample.token_seconds
    if sample.status != "ok" or not prompt or output is None or output < 2 or len(moments) < 2:  # noqa: PLR2004
        return None
    if moments[-1] <= moments[0]:
        return None
    context = mean_seen_context(server.shape, prompt, prompt + output - 2)
    step = server.decode_step(1, context)
    read = server.kv_bytes(prompt), server.kv_bytes(prompt + output - 2)
    return _Life(moments[0], moments[-1], output - 1, read, step.compute_seconds or 0.0)


def _of_replica(
    server: ModelledServer, lives: collections.abc.Sequence[tuple[int, _Life]], counted: collections.abc.Collection[int]
) -> Decoding:
    every = [life for _, life in lives]
    together = _integral((life.first, life.last, 1.0, 1.0) for life in every)
    # Straight from first to last: with windows less than what is read, so that the sum stays a lower bound.
    read = _integral((life.first, life.last, *life.kv_bytes) for life in every)
    computed = _integral((life.first, life.last, life.compute_seconds, life.compute_seconds) for life in every)
    found = Decoding()
    for number, life in lives:
        if number not in counted:
            continue
        seconds = life.last - life.first
        found += Decoding(
            seconds=seconds,
            steps=life.steps,
            core_bytes=life.steps * (server.weight_bytes + read(life.first, life.last) / seconds),
            sequence_steps=life.steps * together(life.first, life.last) / seconds,
            compute_seconds=life.steps * computed(life.first, life.last) / seconds,
        )
    return found


def _integral(
    spans: collections.abc.Iterable[tuple[float, float, float, float]],
) -> collections.abc.Callable[[float, float], float]:
    """Return the integral, between ends of spans, of the sum of values that go straight from a first to a last one.

    A span is its first moment, its last moment, and the values there.
    """
    jumps: dict[float, float] = collections.defaultdict(float)
    bends: dict[float, float] = collections.defaultdict(float)
    for first, last, begin, end in spans:
        slope = (end - begin) / (last - first)
        jumps[first] += begin
        jumps[last] -= end
        bends[first] += slope
        bends[last] -= slope
    area = level = slope = 0.0
    before = min(jumps, default=0.0)
    known = {}
    for moment in sorted(jumps):
        gap = moment - before
        area += gap * (level + gap * slope / 2)
        level += gap * slope + jumps[moment]
        slope += bends[moment]
        known[moment] = area
        before = moment

    def between(start: float, end: float) -> float:
        """Return the integral between two moments that spans begin or end at."""
        return max(0.0, known[end] - known[start])

    return between
