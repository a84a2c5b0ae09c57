"""A candidate's capacity, by a fit: the rate at which just the asked share of requests holds every limit."""

import dataclasses
import functools
import math
import typing

import numpy as np
import numpy.typing as npt
import scipy.special

from optimal_tp.facts.candidates import Candidate


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The result of one open turn: its rate, and how many counted requests held every limit of one percentile."""

    candidate: Candidate
    block: int | None
    """None for a turn of the bracket, which only finds where to begin."""
    log_rate: float
    """Logarithm of requests per second per logical core."""
    asked: float
    """Share of the requests, 0 to 1, that must hold the limits."""
    hits: int
    counted: int
    early_hits: int | None = None
    """Hits in the first half of the counted requests; None where they were not counted."""
    start: int = 0
    """Number of the start of the candidate's servers."""
    others: tuple["Reading", ...] = ()
    """Readings of the same turn for the limits of other percentiles, where there are several."""

    @property
    def share(self) -> float:
        """Share of the counted requests that held every limit, 0 to 1."""
        return self.hits / self.counted

    @property
    def by_share(self) -> tuple["Reading", ...]:
        """The readings of the turn, one for each asked share."""
        return (self, *self.others)

    @property
    def is_held(self) -> bool:
        """Whether every asked share of the requests held its limits."""
        return all(one.share >= one.asked for one in self.by_share)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CapacityFit:
    """``logit(share) = logit(asked) - slope * (log_rate - log_capacity)``."""

    log_capacity: float
    """Logarithm of the rate per core at which the asked share holds."""
    slope: float
    asked: float

    def share(self, log_rate: float) -> float:
        """Return the share of requests, 0 to 1, that holds every limit at ``log_rate``."""
        return 1 / (1 + math.exp(-_logit(self.asked) + self.slope * (log_rate - self.log_capacity)))


LEAST_SLOPE = 1.0
"""The slope of single-slot servers at a low rate, where the share of requests that wait is proportional to the rate."""
USUAL_SLOPE, SLOPE_SPREAD = 14.0, 7.0
"""Mean and standard deviation of the slope's normal prior: one turn alone shows too little of the slope."""
USUAL_SHIFT = 3.0
"""Standard deviation of the prior for the logit at the mean rate, around the asked logit. It keeps the fit of a
candidate that hits or misses everywhere from running away in one step."""
REQUESTS_PER_TRIAL = 20
"""Requests that count as one independent trial in the fit, because requests of one turn resemble each other."""
LEAST_VARIANCE = 0.6
"""Least variance of a turn, as a share of ``asked * (1 - asked)``: without it a turn far from the asked share would
move its score without bound."""


@functools.cache
def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def fit(readings: typing.Sequence[Reading], asked: float) -> CapacityFit:
    """Return the fit to ``readings``, at least one, of one candidate.

    Logistic regression by Newton's method (Wu, "Efficient sequential designs with binary data", Journal of the American
    Statistical Association 80, 1985), with the priors above.
    """
    rates = np.array([reading.log_rate for reading in readings])
    shares = np.array([reading.share for reading in readings])
    trials = np.array([reading.counted for reading in readings]) / REQUESTS_PER_TRIAL
    middle = float(trials @ rates / trials.sum())
    level, slope = _regression(rates - middle, shares, trials, _logit(asked))
    return CapacityFit(log_capacity=middle + (level - _logit(asked)) / slope, slope=slope, asked=asked)


Vector = npt.NDArray[np.float64]


def _regression(rates: Vector, shares: Vector, trials: Vector, usual: float) -> tuple[float, float]:
    """Return the logit at rate 0 and by how much it falls per unit of ``rates``.

    Where shares fall steeply a whole step of Newton's method overshoots, back and forth without end. The posterior
    density has one top only, so a step is halved until it leads up.
    """

    def height(level: float, slope: float) -> float:
        """Return the logarithm of the posterior density, but for a constant."""
        logits = level - slope * rates
        likelihood = float(trials @ (shares * logits - np.logaddexp(0.0, logits)))
        return likelihood - (((level - usual) / USUAL_SHIFT) ** 2 + ((slope - USUAL_SLOPE) / SLOPE_SPREAD) ** 2) / 2

    level, slope = usual, USUAL_SLOPE
    reached = height(level, slope)
    for _ in range(_MOST_STEPS):
        chances = scipy.special.expit(level - slope * rates)
        misfit = trials * (shares - chances)
        weights = trials * chances * (1 - chances)
        pull = float(misfit.sum()) - (level - usual) / USUAL_SHIFT**2
        turn = -float(misfit @ rates) - (slope - USUAL_SLOPE) / SLOPE_SPREAD**2
        first = float(weights.sum()) + USUAL_SHIFT**-2
        mixed = -float(weights @ rates)
        second = float(weights @ rates**2) + SLOPE_SPREAD**-2
        determinant = first * second - mixed**2
        up = (second * pull - mixed * turn) / determinant
        steeper = (first * turn - mixed * pull) / determinant
        if slope + steeper < LEAST_SLOPE:
            steeper = LEAST_SLOPE - slope
            up = (pull - mixed * steeper) / first
        part = 1.0
        while (now := height(level + part * up, slope + part * steeper)) < reached - _CLOSE and part > _LEAST_PART:
            part /= 2
        level, slope, reached = level + part * up, slope + part * steeper, now
        if abs(up) + abs(steeper) < _CLOSE:
            break
    return level, slope


_MOST_STEPS = 50
_LEAST_PART = 1e-4
_CLOSE = 1e-6


def score(reading: Reading, by: CapacityFit) -> float:
    """Return the turn's own estimate of log capacity: one step from the fit.

    ``log_capacity + (share - expected) / (slope * max(expected (1 - expected), LEAST_VARIANCE asked (1 - asked)))``
    """
    expected = by.share(reading.log_rate)
    variance = max(expected * (1 - expected), LEAST_VARIANCE * by.asked * (1 - by.asked))
    return by.log_capacity + (reading.share - expected) / (by.slope * variance)


def half_score(reading: Reading, by: CapacityFit) -> float | None:
    """Return half the difference between the scores of a turn's two halves: its own noise; None without counts."""
    if reading.early_hits is None or reading.counted < 2:  # noqa: PLR2004 - two halves
        return None
    half = reading.counted // 2
    early, late = reading.early_hits / half, (reading.hits - reading.early_hits) / (reading.counted - half)
    expected = by.share(reading.log_rate)
    variance = max(expected * (1 - expected), LEAST_VARIANCE * by.asked * (1 - by.asked))
    return (early - late) / 2 / (by.slope * variance)


def excess(readings: typing.Sequence[Reading], by: CapacityFit) -> float:
    """Return by how many binomial standard deviations the hits of ``readings`` together exceed those of the fit.

    ``sum(hits - counted * share) / sqrt(sum(counted * share * (1 - share)))``, with the fit's share at each rate.
    """
    shares = [by.share(one.log_rate) for one in readings]
    more = math.fsum(one.hits - one.counted * share for one, share in zip(readings, shares, strict=True))
    variance = math.fsum(one.counted * share * (1 - share) for one, share in zip(readings, shares, strict=True))
    return more / math.sqrt(variance) if variance > 0 else 0.0


DISTURBED_SHARE = 0.35
"""A disturbed turn has less than this part of the expected share."""
DISTURBED_DEVIATIONS = 4.0
"""It also lies this many standard deviations below that share, with REQUESTS_PER_TRIAL / 2 requests as one trial."""


def is_disturbed(reading: Reading, by: CapacityFit) -> bool:
    """Whether so few requests hold the limits, compared with the fit, that the rate alone cannot be the cause."""
    expected = by.share(reading.log_rate)
    if reading.share >= DISTURBED_SHARE * expected:
        return False
    variance = max(expected * (1 - expected), by.asked * (1 - by.asked))
    spread = math.sqrt(REQUESTS_PER_TRIAL / 2 * variance / reading.counted)
    return expected - reading.share > DISTURBED_DEVIATIONS * spread
