"""At which rates a candidate is driven: a bracket that finds its capacity, then turns on either side of it."""

import dataclasses
import math

from optimal_tp.verdict.race.capacity import CapacityFit, Reading

NARROW = 1.25
"""Ratio of the lowest rate that missed to the highest that held, from which the bracket is narrow enough."""
MOST_DOUBLINGS = 6
"""Of the first rate, after which the bracket ends without a miss: the client could not follow any further."""
FIRST_SHARE = 0.8
"""First rate, as a share of what the servers finish when they are saturated."""
TAIL_SHARE = 0.95
"""Asked share of requests from which the turns lean to higher rates: below the capacity nearly all would hit."""
SIDES, TAIL_SIDES = (-0.05, 0.05), (-0.03, 0.08)
"""Where the turns of a block lie, in logarithms from the capacity, in turn."""
LONGEST_TURN, FEWEST_COUNTED = 5.0, 5
"""A turn takes at most so many times its usual length for the sake of its least requests, and counts so many."""
LONGEST_MOVE = math.log(2)
"""How far the rate moves from one turn to the next at most."""


class Bracket:
    """Rates double while they hold, halve while they miss, then bisect. Its readings are no evidence."""

    def __init__(self, first: float, *, floor: float, most_turns: int) -> None:
        """Begin at the log rate ``first``; below ``floor`` a candidate holds at no rate.

        After ``most_turns`` it bisects no further; a rate that held and one that missed it always looks for.
        """
        self.next: float | None = first
        """The next log rate; None when the bracket has ended."""
        self.hopeless = False
        """Whether even the floor missed."""
        self._floor = floor
        self._highest = first + MOST_DOUBLINGS * math.log(2)
        self._left = most_turns
        self._held: float | None = None
        self._missed: float | None = None

    def add(self, reading: Reading) -> None:
        """Take the reading of the turn at ``next``."""
        if reading.is_held:
            self._held = reading.log_rate if self._held is None else max(self._held, reading.log_rate)
        else:
            self._missed = reading.log_rate if self._missed is None else min(self._missed, reading.log_rate)
        self._left -= 1
        self.next = self._following(reading.log_rate)

    def _following(self, last: float) -> float | None:
        if self._missed is None:
            return last + math.log(2) if last < self._highest else None
        if self._held is None:
            self.hopeless = last <= self._floor
            return None if self.hopeless else max(self._floor, self._missed - math.log(2))
        if self._left <= 0:
            return None
        low, high = sorted((self._held, self._missed))
        return None if high - low < math.log(NARROW) else (low + high) / 2


def block_rate(by: CapacityFit, block: int, last: float) -> float:
    """Return the log rate of a candidate's turn in ``block``, from the fit so far and its ``last`` log rate."""
    sides = TAIL_SIDES if by.asked >= TAIL_SHARE else SIDES
    aim = by.log_capacity + sides[block % 2]
    return min(max(aim, last - LONGEST_MOVE), last + LONGEST_MOVE)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TurnSize:
    """How long turns are, in the time that one request alone takes on the slowest candidate."""

    warm_in: float
    """Before the first counted request."""
    length: float
    """Time in which the counted requests arrive."""
    least_requests: int
    """Counted requests at the least, whatever the rate."""

    def counted(self, rate_per_second: float, alone_seconds: float, *, part: float = 1.0) -> int:
        """Return how many requests count at ``rate_per_second``; ``part`` of a whole turn.

        At a low rate fewer than ``least_requests``, so that no turn takes more than LONGEST_TURN usual ones.
        """
        usual = rate_per_second * self.length * alone_seconds
        least = max(FEWEST_COUNTED, min(self.least_requests, LONGEST_TURN * usual))
        return max(1, round(part * max(least, usual)))
