"""When requests are meant to be sent: pure functions of a seed, in absolute seconds from the stretch's start."""

import dataclasses
import itertools
import math
import random
import typing

from optimal_tp.measurement.shares import WHOLE, Share


def _positive(value: float, name: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above 0 (got {value!r})")


def _not_negative(value: float, name: str) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0 (got {value!r})")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Closed:
    """A fixed number of requests in flight: each slot sends its next one when its last one has ended.

    Raises ValueError for a concurrency below 1 or a negative think time.
    """

    concurrency: int
    think_seconds: float = 0
    """Silence of a slot between the end of one request and the next."""
    rate_per_second: typing.ClassVar[None] = None

    def __post_init__(self) -> None:
        _positive(self.concurrency, "concurrency")
        _not_negative(self.think_seconds, "think_seconds")

    def pause_seconds(self, request: int) -> float:  # noqa: ARG002 - the same after every request
        """Return the silence of its slot after ``request`` has ended."""
        return self.think_seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rotation:
    """The AWS sample's own pattern: one request at a time, server after server, and a sleep after each round.

    Source: the sample's loadgen, which calls three servers in turn and sleeps 10 s. Raises ValueError as Closed does.
    """

    servers: int
    sleep_seconds: float = 10
    concurrency: typing.ClassVar[int] = 1
    rate_per_second: typing.ClassVar[None] = None

    def __post_init__(self) -> None:
        _positive(self.servers, "servers")
        _not_negative(self.sleep_seconds, "sleep_seconds")

    def pause_seconds(self, request: int) -> float:
        """Return the silence after ``request`` (from 0) has ended: the sleep after the last of a round, else 0."""
        return self.sleep_seconds if (request + 1) % self.servers == 0 else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant:
    """Requests at even distances, the first at 0. Raises ValueError for a rate of 0 or less."""

    rate_per_second: float
    concurrency: typing.ClassVar[None] = None

    def __post_init__(self) -> None:
        _positive(self.rate_per_second, "rate_per_second")

    def times(self) -> typing.Iterator[float]:
        """Yield intended sends, seconds from the start, ascending, without end."""
        return (request / self.rate_per_second for request in itertools.count())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Poisson:
    """Independent arrivals: exponential gaps with mean 1 / rate; the same seed gives the same times.

    Raises ValueError for a rate of 0 or less.
    """

    rate_per_second: float
    seed: int
    concurrency: typing.ClassVar[None] = None

    def __post_init__(self) -> None:
        _positive(self.rate_per_second, "rate_per_second")

    def times(self) -> typing.Iterator[float]:
        """Yield intended sends, seconds from the start, ascending, without end."""
        draw = random.Random(self.seed).expovariate
        return itertools.accumulate(draw(self.rate_per_second) for _ in itertools.count())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """Poisson arrivals that begin near the servers' usual state: ``opening`` requests at once, then independent ones.

    The same seed gives the same times. Raises ValueError for a rate of 0 or less, or an opening below 0.
    """

    rate_per_second: float
    """Of the arrivals after the opening."""
    seed: int
    opening: int
    """Requests at 0, in place of those that a stream without a beginning would have in flight."""
    concurrency: typing.ClassVar[None] = None

    def __post_init__(self) -> None:
        _positive(self.rate_per_second, "rate_per_second")
        _not_negative(self.opening, "opening")

    def times(self) -> typing.Iterator[float]:
        """Yield intended sends, seconds from the start, ascending, without end."""
        poisson = Poisson(rate_per_second=self.rate_per_second, seed=self.seed)
        return itertools.chain(itertools.repeat(0.0, self.opening), poisson.times())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rising:
    """Even distances at one rate after another, each for ``step_seconds``; ends after the last step.

    Raises ValueError for no rates, or a rate or step of 0 or less.
    """

    rates_per_second: tuple[float, ...]
    step_seconds: float
    concurrency: typing.ClassVar[None] = None

    def __post_init__(self) -> None:
        if not self.rates_per_second:
            raise ValueError("rates_per_second must have at least one rate")
        for rate in self.rates_per_second:
            _positive(rate, "rates_per_second")
        _positive(self.step_seconds, "step_seconds")

    @property
    def rate_per_second(self) -> float:
        """Mean rate over all steps."""
        return sum(self.rates_per_second) / len(self.rates_per_second)

    def times(self) -> typing.Iterator[float]:
        """Yield intended sends, seconds from the start, ascending."""
        for step, rate in enumerate(self.rates_per_second):
            start = step * self.step_seconds
            for request in itertools.count():
                if request / rate >= self.step_seconds:
                    break
                yield start + request / rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """Recorded arrivals, sent again: at their own times, or stretched to another rate, so that their bursts stay.

    Raises ValueError for no times, times that fall, or times without a length where a rate is asked for or the record
    begins again.
    """

    recorded: tuple[float, ...] = dataclasses.field(repr=False)
    """Seconds from the first of the record, ascending."""
    stretched_to_per_second: float | None = None
    """Mean rate that all times are stretched to; None leaves them as they are."""
    first: int = 0
    """Number of the recorded request that is sent first."""
    opening: int = 0
    """Requests at 0, as Stream has them: the first ones of the record from ``first`` on."""
    again: bool = False
    """True goes round: after the last request comes the first, a mean gap later. False ends there."""
    concurrency: typing.ClassVar[None] = None

    def __post_init__(self) -> None:
        if not self.recorded:
            raise ValueError("the trace must have at least one request")
        if any(later < earlier for earlier, later in itertools.pairwise(self.recorded)):
            raise ValueError("the requests of the trace must be in order of time")
        if (self.stretched_to_per_second is not None or self.again) and self._own_rate is None:
            raise ValueError("the requests of the trace must not all have the same time: they give no rate")

    @property
    def _own_rate(self) -> float | None:
        length = self.recorded[-1] - self.recorded[0]
        return (len(self.recorded) - 1) / length if length > 0 else None

    @property
    def rate_per_second(self) -> float | None:
        """Mean rate over the record's length; None if it has no length."""
        return self._own_rate if self.stretched_to_per_second is None else self.stretched_to_per_second

    def times(self) -> typing.Iterator[float]:
        """Yield intended sends, seconds from the start, ascending."""
        own, asked = self._own_rate or 1.0, self.rate_per_second or 1.0
        factor, recorded = own / asked, self.recorded
        if not self.again:
            start = recorded[self.first]
            return (factor * (moment - start) for moment in recorded[self.first :])

        def gap(number: int) -> float:
            """Return the recorded seconds before a request; before the first of a repetition, the mean of all."""
            place = number % len(recorded)
            return recorded[place] - recorded[place - 1] if place else 1 / own

        gaps = (factor * gap(number) for number in itertools.count(self.first + self.opening))
        return itertools.chain(itertools.repeat(0.0, self.opening), itertools.accumulate(gaps))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
    """What one of several processes sends of open arrivals: the very times of the whole, every n-th of them."""

    arrivals: Constant | Poisson | Stream | Rising | Replay
    share: Share
    concurrency: typing.ClassVar[None] = None

    @property
    def rate_per_second(self) -> float | None:
        """Mean rate of this share alone."""
        whole = self.arrivals.rate_per_second
        return None if whole is None else whole / self.share.count

    def times(self) -> typing.Iterator[float]:
        """Yield intended sends, seconds from the start, ascending."""
        return itertools.islice(self.arrivals.times(), self.share.index, None, self.share.count)


OpenArrivals = Constant | Poisson | Stream | Rising | Replay | Slice
"""Sends that do not wait for answers."""
ClosedArrivals = Closed | Rotation
"""Sends that follow the end of an earlier request."""
Arrivals = OpenArrivals | ClosedArrivals


def opening(arrivals: Arrivals) -> int:
    """Return how many requests at the start of ``arrivals``, from number 0, are its opening."""
    whole = arrivals.arrivals if isinstance(arrivals, Slice) else arrivals
    return whole.opening if isinstance(whole, (Stream, Replay)) else 0


def early(arrivals: Stream | Replay, seconds: float) -> int:
    """Return how many requests after the opening of ``arrivals`` are intended before ``seconds``."""
    moments = itertools.islice(arrivals.times(), arrivals.opening, None)
    return sum(1 for _ in itertools.takewhile(lambda moment: moment < seconds, moments))


def own_share(arrivals: Arrivals, share: Share) -> Share | None:
    """Return ``share`` among the processes that have something to send of ``arrivals``; None for one that has not."""
    return share if arrivals.concurrency is None else share.among(arrivals.concurrency)


def sliced(arrivals: Arrivals, share: Share) -> Arrivals:
    """Return what ``share``, as ``own_share`` gave it, sends of ``arrivals``: every n-th planned send or slot."""
    if share == WHOLE or isinstance(arrivals, (Rotation, Slice)):
        return arrivals
    if isinstance(arrivals, Closed):
        return dataclasses.replace(arrivals, concurrency=share.of(arrivals.concurrency))
    return Slice(arrivals=arrivals, share=share)


def planned(arrivals: OpenArrivals, *, seconds: float | None, requests: int | None) -> typing.Iterator[float]:
    """Yield the intended sends of a stretch of ``seconds`` (open end) with at most ``requests``; None is no bound."""
    times = arrivals.times()
    if seconds is not None:
        times = itertools.takewhile(lambda moment: moment < seconds, times)
    return times if requests is None else itertools.islice(times, requests)
