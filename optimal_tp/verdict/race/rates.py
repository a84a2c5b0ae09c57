"""The rates of a candidate's turns: a bracket that finds its capacity, then turns on either side of it."""

import dataclasses
import math

from optimal_tp.verdict.race.capacity import CapacityFit, Reading

NARROW = 1.25
"""The bracket is narrow enough below this ratio of the lowest rate that missed to the highest that held."""
MOST_DOUBLINGS = 6
"""Doublings of the first rate after which the bracket ends without a miss: the client could not keep up."""
FIRST_SHARE = 0.8
"""First rate, as a share of what the servers finish when they are saturated."""
TAIL_SHARE = 0.95
"""Asked share of requests from which turns lean to higher rates: below the capacity nearly all would hit."""
SIDES, TAIL_SIDES = (-0.05, 0.05), (-0.03, 0.08)
"""Distances of the turns from the capacity, in logarithms; blocks alternate between the two."""
LONGEST_TURN, FEWEST_COUNTED = 5.0, 5
"""Most usual lengths that a turn may take to reach its least requests, and the fewest requests that it counts."""
LONGEST_MOVE = math.log(2)
"""Largest change of the rate from one turn to the next, in logarithms."""


class Bracket:
    """Rates double while they hold, halve while they miss, then bisect. These readings are not evidence."""

    def __init__(self, first: float, *, floor: float, most_turns: int) -> None:
        """Begin at the log rate ``first``; a candidate that misses at ``floor`` holds the limits at no rate.

        After ``most_turns`` it stops bisecting, but it always looks for a rate that held and one that missed.
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
    """Length of turns, in units of the time that one request alone takes on the slowest candidate."""

    warm_in: float
    """Time before the first counted request."""
    length: float
    """Time in which the counted requests arrive."""
    least_requests: int
    """Least number of counted requests, whatever the rate."""

    def counted(self, rate_per_second: float, alone_seconds: float, *, part: float = 1.0) -> int:
        """Return the number of counted requests at ``rate_per_second``, for ``part`` of a whole turn.

        At a low rate it may be below ``least_requests``, so that no turn is longer than LONGEST_TURN usual ones.
        """
        usual = rate_per_second * self.length * alone_seconds
        least = max(FEWEST_COUNTED, min(self.least_requests, LONGEST_TURN * usual))
        return max(1, round(part * max(least, usual)))
