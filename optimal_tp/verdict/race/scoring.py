"""What a turn says of its candidate, as a logarithm per core: what it can take within limits, or its throughput."""

import collections.abc
import dataclasses
import statistics
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.verdict.race.capacity import DISTURBED_SHARE, Fit, Reading, fit, half_score, is_disturbed, score

WANDERING = 4.0
"""Ratio of variances from which a candidate wanders: what a dozen quiet turns exceed once in a hundred times."""
FEWEST_TO_WANDER = 12
"""Turns below which nothing is said of it."""
BRACKET_BLOCKS = 6
"""Blocks after which the turns of the bracket say nothing more: they were taken far from the capacity."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """One saturated turn."""

    candidate: Candidate
    block: int | None
    log_rate: float
    """Logarithm of output tokens per second per logical core."""


TakenT = typing.TypeVar("TakenT", contravariant=True)  # noqa: PLC0105 - no _contra in a name that is read


class Scoring(typing.Protocol[TakenT]):
    """Turns of all candidates, and their scores."""

    def add(self, block: int, readings: collections.abc.Iterable[TakenT]) -> None:
        """Take the readings of ``block``."""

    def learn(
        self, candidates: collections.abc.Iterable[Candidate], oldest: collections.abc.Mapping[Candidate, int]
    ) -> None:
        """Learn what the scores need, from blocks that are not older than each candidate's ``oldest``."""

    def scores(self, candidate: Candidate, oldest: int) -> dict[int, float]:
        """Return the scores by block, from ``oldest`` on, of the turns that may be compared."""

    def is_wandering(self, candidate: Candidate, oldest: int) -> bool:
        """Whether something that outlasts a turn moves the candidate's scores."""


class GoodputScoring:
    """Scores by the rate within limits: one step from a fit to the candidate's own turns."""

    def __init__(self, candidates: collections.abc.Iterable[Candidate], asked: float, *, reach: float) -> None:
        """Score at the share ``asked`` of requests, 0 to 1.

        ``reach``: turns further than this from the fitted capacity, in logarithms, are not compared: shares saturate.
        """
        self.asked = asked
        self.fits: dict[Candidate, Fit] = {}
        """Of every candidate, to the last block it was in."""
        self._reach = reach
        self._bracket: dict[Candidate, list[Reading]] = {candidate: [] for candidate in candidates}
        self._blocks: dict[Candidate, dict[int, Reading]] = {candidate: {} for candidate in self._bracket}

    def open_with(self, reading: Reading) -> None:
        """Take a reading of the bracket: it says where to begin, and is no evidence."""
        self._bracket[reading.candidate].append(reading)
        self.learn([reading.candidate], {reading.candidate: 0})

    def add(self, block: int, readings: collections.abc.Iterable[Reading]) -> None:
        """Take the readings of ``block``."""
        for reading in readings:
            self._blocks[reading.candidate][block] = reading

    def learn(
        self, candidates: collections.abc.Iterable[Candidate], oldest: collections.abc.Mapping[Candidate, int]
    ) -> None:
        """Fit every candidate that has a reading; disturbed turns do not take part."""
        for candidate in candidates:
            own = [reading for block, reading in self._blocks[candidate].items() if block >= oldest[candidate]]
            used = own if len(own) >= BRACKET_BLOCKS else [*self._bracket[candidate], *own]
            if not used:
                continue
            self.fits[candidate] = self._undisturbed_fit(used)

    def _undisturbed_fit(self, used: list[Reading]) -> Fit:
        """Return the fit to ``used`` without what is disturbed, as those say that are beyond suspicion."""
        clear = [one for one in used if one.block is None or one.share >= DISTURBED_SHARE * self.asked]
        by = fit(clear or used, self.asked)
        sound = [one for one in used if one.block is None or not is_disturbed(one, by)]
        return by if len(sound) == len(clear) else fit(sound or used, self.asked)

    def scores(self, candidate: Candidate, oldest: int) -> dict[int, float]:
        """Return the scores by block, from ``oldest`` on, of the turns that may be compared."""
        by = self.fits.get(candidate)
        if by is None or not self.is_bracketed(candidate):
            return {}
        return {
            block: score(reading, by)
            for block, reading in self._blocks[candidate].items()
            if block >= oldest
            and abs(reading.log_rate - by.log_capacity) <= self._reach
            and not is_disturbed(reading, by)
        }

    def is_bracketed(self, candidate: Candidate) -> bool:
        """Whether any turn of ``candidate`` missed the asked share, and any held it: else its capacity is a guess."""
        shares = [each.share for each in (*self._bracket[candidate], *self._blocks[candidate].values())]
        return any(share < self.asked for share in shares) and any(share >= self.asked for share in shares)

    def is_wandering(self, candidate: Candidate, oldest: int) -> bool:
        """Whether the scores vary more from turn to turn than the two halves of a turn explain.

        ``variance(scores) / mean(half_score^2) > WANDERING``: something that outlasts a turn moves the candidate.
        """
        by = self.fits.get(candidate)
        scores = self.scores(candidate, oldest)
        if by is None or len(scores) < FEWEST_TO_WANDER:
            return False
        halves = [half_score(self._blocks[candidate][block], by) for block in scores]
        own = [half**2 for half in halves if half is not None]
        return len(own) == len(scores) and statistics.variance(scores.values()) > WANDERING * statistics.fmean(own)

    def disturbed(self) -> tuple[Reading, ...]:
        """Return the turns of blocks that are not compared because something else than their rate was at work."""
        return tuple(
            reading
            for candidate, by in self.fits.items()
            for reading in self._blocks[candidate].values()
            if is_disturbed(reading, by)
        )


class ThroughputScoring:
    """Scores by output tokens per second per core, saturated."""

    def __init__(self, candidates: collections.abc.Iterable[Candidate]) -> None:
        """Score every turn by itself."""
        self._blocks: dict[Candidate, dict[int, float]] = {candidate: {} for candidate in candidates}

    def add(self, block: int, readings: collections.abc.Iterable[Throughput]) -> None:
        """Take the readings of ``block``."""
        for reading in readings:
            self._blocks[reading.candidate][block] = reading.log_rate

    def learn(
        self, candidates: collections.abc.Iterable[Candidate], oldest: collections.abc.Mapping[Candidate, int]
    ) -> None:
        """Do nothing: a turn says what it says."""

    def scores(self, candidate: Candidate, oldest: int) -> dict[int, float]:
        """Return the logarithms by block, from ``oldest`` on."""
        return {block: value for block, value in self._blocks[candidate].items() if block >= oldest}

    def is_wandering(self, candidate: Candidate, oldest: int) -> bool:  # noqa: ARG002 - nothing tells
        """Return False: a turn's own noise is not known."""
        return False
