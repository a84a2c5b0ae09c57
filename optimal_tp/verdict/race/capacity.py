"""How much a candidate can take: the rate at which just the asked share of requests holds every limit, by a fit."""

import dataclasses
import math
import typing

import numpy as np
import numpy.typing as npt
import scipy.special

from optimal_tp.facts.candidates import Candidate


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one open turn says: at a rate, so many of the counted requests held every limit of one percentile."""

    candidate: Candidate
    block: int | None
    """None for a turn of the bracket, which only finds where to begin."""
    log_rate: float
    """Logarithm of requests per second per logical core."""
    asked: float
    """Share of the requests, 0 to 1, that is to hold the limits."""
    hits: int
    counted: int
    early_hits: int | None = None
    """Of the first half of the counted requests; None where nobody looked."""
    start: int = 0
    """Which start of the candidate's servers it was on."""
    others: tuple["Reading", ...] = ()
    """What the same turn says by the limits of other percentiles, where the limits have several."""

    @property
    def share(self) -> float:
        """Share of the counted requests that held every limit, 0 to 1."""
        return self.hits / self.counted

    @property
    def by_share(self) -> tuple["Reading", ...]:
        """What the turn says by each asked share."""
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
"""Single-slot servers at a low rate: the share that waits is in proportion to the rate."""
USUAL_SLOPE, SLOPE_SPREAD = 14.0, 7.0
"""Normal prior of the slope: one turn shows too little of it."""
USUAL_SHIFT = 3.0
"""Standard deviation of the prior for the logit at the mean rate around the asked one: keeps a candidate that
hits or misses everywhere from running away in one step."""
REQUESTS_PER_TRIAL = 20
"""Requests of one turn resemble each other: so many count as one independent trial in the fit."""
LEAST_VARIANCE = 0.6
"""Share of ``asked * (1 - asked)`` below which a turn's variance is not taken: a turn far from the asked share would
otherwise move its score without bound."""


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
    """Return half the difference between the scores of a turn's two halves: its own noise; None where nobody looked."""
    if reading.early_hits is None or reading.counted < 2:  # noqa: PLR2004 - two halves
        return None
    half = reading.counted // 2
    early, late = reading.early_hits / half, (reading.hits - reading.early_hits) / (reading.counted - half)
    expected = by.share(reading.log_rate)
    variance = max(expected * (1 - expected), LEAST_VARIANCE * by.asked * (1 - by.asked))
    return (early - late) / 2 / (by.slope * variance)


DISTURBED_SHARE = 0.35
"""Share of what is expected below which a turn may be disturbed."""
DISTURBED_DEVIATIONS = 4.0
"""Standard deviations below what is expected, at that: as if REQUESTS_PER_TRIAL / 2 requests were one trial."""


def is_disturbed(reading: Reading, by: CapacityFit) -> bool:
    """Whether so much less holds the limits than the fit expects that something else than the rate was at work."""
    expected = by.share(reading.log_rate)
    if reading.share >= DISTURBED_SHARE * expected:
        return False
    variance = max(expected * (1 - expected), by.asked * (1 - by.asked))
    spread = math.sqrt(REQUESTS_PER_TRIAL / 2 * variance / reading.counted)
    return expected - reading.share > DISTURBED_DEVIATIONS * spread
