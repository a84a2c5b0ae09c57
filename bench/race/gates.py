"""Bets on whole turns, at turn level: the shares of turns are planted, dependent as real ones are, and all too low."""

import bisect
import dataclasses
import functools
import math
import typing

import numpy as np
import numpy.typing as npt
import scipy.special

from bench.race.truths import CAREFUL
from optimal_tp.verdict.race.proof import held, is_shown, missed

MOST_TURNS = 120
REQUESTS = 20
"""In each turn."""
EXPERIMENTS = 10
"""For each that another row has: one takes a millisecond."""
HEAD = "| bets that a share is held or missed | wrongly proven % | proven % | turns until proven |"

Shares = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gate:
    """One row: fewer requests than ``asked`` hold the limits, so nobody may prove that it is held."""

    name: str
    asked: float
    mean: float = 1.0
    """Share of the requests that hold the limits, disturbances apart."""
    apart: float = 0.0
    """Half of the turns have so much more than the other half."""
    slow_share: float = 0.0
    """Share of the turns in which no request holds them."""
    resemblance: float = 0.0
    """Autocorrelation of one request with the next, from turn to turn too."""
    walk_memory: float = 0.0
    walk: float = 0.0
    """Standard deviation of an autoregressive effect of each turn on the logit of its share."""

    def shares(self, seed: int) -> Shares:
        """Return the shares of MOST_TURNS turns."""
        draw = np.random.default_rng(seed)
        chances = np.full(MOST_TURNS, self.mean)
        chances += self.apart * (draw.integers(0, 2, MOST_TURNS) - 0.5)
        if self.walk:
            effects = self.walk * _autoregressive(self.walk_memory, draw)
            chances = scipy.special.expit(_level(self.mean, self.walk) + effects)
        hits = draw.random((MOST_TURNS, REQUESTS)) < chances[:, None]
        if self.resemblance:
            # Each request is as the one before it, but for so many that are drawn anew.
            drawn = hits.ravel()
            anew = draw.random(len(drawn)) >= self.resemblance
            anew[0] = True
            hits = drawn[np.maximum.accumulate(np.where(anew, np.arange(len(drawn)), 0))].reshape(hits.shape)
        found: Shares = hits.mean(axis=1)
        found[draw.random(MOST_TURNS) < self.slow_share] = 0.0
        return found


def _autoregressive(memory: float, draw: np.random.Generator) -> Shares:
    """Return a stationary series with a standard deviation of 1."""
    found = draw.normal(size=MOST_TURNS)
    for turn in range(1, MOST_TURNS):
        found[turn] = memory * found[turn - 1] + math.sqrt(1 - memory**2) * found[turn]
    return found


@functools.cache
def _level(mean: float, spread: float) -> float:
    """Return the logit around which normal ``spread`` leaves chances with that ``mean``."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    low, high = -10.0, 20.0
    while high - low > 1e-9:  # noqa: PLR2004 - bisection to rounding
        level = (low + high) / 2
        too_low = float(weights @ scipy.special.expit(level + spread * nodes)) < mean * float(weights.sum())
        low, high = (level, high) if too_low else (low, level)
    return low


ROWS: typing.Final = (
    Gate(name="independent, 94 in, 95 asked", asked=0.95, mean=0.94),
    Gate(name="turns differ by 10 points, 94 in, 95 asked", asked=0.95, mean=0.94, apart=0.1),
    Gate(name="1 of 10 turns slow, 95 asked", asked=0.95, slow_share=0.1),
    Gate(name="1 of 20 turns slow, 99 asked", asked=0.99, slow_share=0.05),
    Gate(name="1 of 50 turns slow, 99 asked", asked=0.99, slow_share=0.02),
    Gate(name="requests resemble each other (0.9), 94 in, 95 asked", asked=0.95, mean=0.94, resemblance=0.9),
    Gate(name="turns resemble each other (AR 0.8), 92 in, 95 asked", asked=0.95, mean=0.92, walk=1.0, walk_memory=0.8),
)


def outcome(truth: Gate, seed: int) -> tuple[bool, int | None]:
    """Return whether it was proven held, wrongly, and after how many turns it was proven missed; None for not."""
    alpha = (1 - CAREFUL.decision.confidence) / 2
    shares = [float(one) for one in truth.shares(seed)]
    wrong = is_shown(held(shares, truth.asked), alpha)
    gains = missed(shares, truth.asked)
    if not is_shown(gains, alpha):
        return wrong, None
    # What is shown once stays shown.
    turns = range(MOST_TURNS + 1)
    return wrong, bisect.bisect_left(turns, 1, key=lambda count: int(is_shown(gains[:count], alpha)))


def row(truth: Gate, count: int, first_seed: int) -> str:
    """Return the row of ``truth`` after ``count`` times EXPERIMENTS experiments."""
    found = [outcome(truth, first_seed + number) for number in range(EXPERIMENTS * count)]
    turns: list[float] = [each for _, each in found if each is not None] or [math.nan]
    cells = [
        truth.name,
        f"{100 * sum(wrong for wrong, _ in found) / len(found):.1f}",
        f"{100 * sum(each is not None for _, each in found) / len(found):.0f}",
        f"{np.median(turns):.0f} / {np.percentile(turns, 90):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"
