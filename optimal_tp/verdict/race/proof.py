"""Prove by betting on whole turns which rate a candidate holds, and which rate it misses.

A bet against the statement "at rates of c and more, at most the asked share holds" pays when more holds. If the
statement is true, the bet's wealth ever reaches 1/alpha with probability at most alpha (Ville's inequality), whatever
happens within a turn, as long as turns are exchangeable. Sources: Ville, "Etude critique de la notion de collectif"
(1939); Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal
Statistical Society B 86 (2024).
"""

import math
import typing

import numpy as np

from optimal_tp.verdict.findings import Proof
from optimal_tp.verdict.race.capacity import Reading

STAKES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95)
"""Shares of the wealth that are bet on each turn, side by side."""
BOLD_WEIGHT = 0.45
"""Part of the wealth that bets the largest stake, because in most turns nearly every request hits."""


NEAR = 0.15
"""Largest distance beyond a tested rate, in logarithms, at which a turn still bets for it: turns further away would
only lose the gains."""


def is_shown(gains: typing.Sequence[float], alpha: float) -> bool:
    """Whether bets on ``gains``, in order, reach 1/alpha; each gain is at least -1, their mean at most 0 if wrong."""
    if not gains:
        return False
    stakes = np.array(STAKES)
    weights = np.full(len(STAKES), (1 - BOLD_WEIGHT) / (len(STAKES) - 1))
    weights[-1] = BOLD_WEIGHT
    wealth = np.cumsum(np.log1p(np.outer(np.asarray(gains), stakes)), axis=0)
    return bool((np.exp(wealth) @ weights).max() >= 1 / alpha)


def held(shares: typing.Iterable[float], asked: float) -> list[float]:
    """Return the gains of betting that more than ``asked`` holds: ``(share - asked) / asked`` of each turn."""
    return [(share - asked) / asked for share in shares]


def missed(shares: typing.Iterable[float], asked: float) -> list[float]:
    """Return the gains of betting that less than ``asked`` holds: ``(asked - share) / (1 - asked)`` of each turn."""
    return [(asked - share) / (1 - asked) for share in shares]


def proof(readings: typing.Sequence[Reading], *, alpha: float) -> Proof:
    """Return what ``readings`` of turns after the choice, in order, prove; each side has half of ``alpha``.

    The share falls with the rate, so turns at rates of c and more can refute "the capacity is at most c", by whatever
    rule they were chosen. Only turns NEAR c bet, which is known before each turn. Rates are tested from the safe side,
    so further rates spend no further alpha. With several percentiles a rate is held once all of them are shown to
    hold, and missed once one is shown to miss; for the latter they divide alpha.
    """
    rates = sorted({reading.log_rate for reading in readings})
    low = high = None
    for rate in rates:
        above = [reading.by_share for reading in readings if rate <= reading.log_rate <= rate + NEAR]
        bets = [held((one.share for one in each), each[0].asked) for each in zip(*above, strict=True)]
        if not all(is_shown(gains, alpha / 2) for gains in bets):
            break
        low = rate
    for rate in reversed(rates):
        below = [reading.by_share for reading in readings if rate - NEAR <= reading.log_rate <= rate]
        bets = [missed((one.share for one in each), each[0].asked) for each in zip(*below, strict=True)]
        if not any(is_shown(gains, alpha / 2 / len(bets)) for gains in bets):
            break
        high = rate
    return Proof(
        held_per_second_per_core=None if low is None else math.exp(low),
        missed_per_second_per_core=None if high is None else math.exp(high),
        turns=len(readings),
    )
