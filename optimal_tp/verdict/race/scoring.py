"""Score turns by a logarithm per core: the candidate's capacity within the limits, or its throughput."""

import collections.abc
import dataclasses
import math
import statistics
import typing

import scipy.special

from optimal_tp.facts.candidates import Candidate
from optimal_tp.verdict.race.capacity import (
    DISTURBED_SHARE,
    CapacityFit,
    Reading,
    excess,
    fit,
    half_score,
    is_disturbed,
    score,
)

WANDERING = 1.3
"""Allowance for the halves of a quiet turn, which resemble each other a little."""
FEWEST_TO_WANDER = 12
"""Fewest turns from which wandering is judged."""
LAST_TURNS, MOST_EXCESS = 2, 2.0
"""Turns by which a short run judges whether servers still warm up, and standard deviations above which they do."""
BRACKET_BLOCKS = 6
"""Blocks after which the bracket's turns are no longer used: they were taken far from the capacity."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """One saturated turn."""

    candidate: Candidate
    block: int | None
    log_rate: float
    """Logarithm of output tokens per second per logical core."""
    start: int = 0
    """Number of the start of the candidate's servers."""


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

    def is_wandering(self, candidate: Candidate, oldest: int, *, within_starts: bool = False) -> bool:
        """Whether the scores drift for longer than a turn; ``within_starts``: within single server starts too."""

    def is_warming(self, candidate: Candidate) -> bool:
        """Whether the last turns were so much better than the fit expects that its servers may still warm up."""


class ShareScoring:
    """Scores by the rate at which one asked share is held: one step from a fit to the candidate's own turns."""

    def __init__(self, candidates: collections.abc.Iterable[Candidate], asked: float, *, reach: float) -> None:
        """Score at the share ``asked`` of requests, 0 to 1.

        Turns further than ``reach`` from the fitted capacity, in logarithms, are not compared: shares saturate there.
        """
        self.asked = asked
        self.fits: dict[Candidate, CapacityFit] = {}
        """Fit of every candidate, up to its last block."""
        self._reach = reach
        self._bracket: dict[Candidate, list[Reading]] = {candidate: [] for candidate in candidates}
        self._blocks: dict[Candidate, dict[int, Reading]] = {candidate: {} for candidate in self._bracket}
        self._missed: set[Candidate] = set()
        self._held: set[Candidate] = set()
        self._scored: dict[tuple[Candidate, int], dict[int, float]] = {}
        """What was asked for since the last reading or fit: a block asks for the same scores several times."""

    def open_with(self, reading: Reading) -> None:
        """Take a reading of the bracket: it shows where to begin, but is not evidence."""
        self._bracket[reading.candidate].append(reading)
        self._note(reading)
        self.learn([reading.candidate], {reading.candidate: 0})

    def add(self, block: int, readings: collections.abc.Iterable[Reading]) -> None:
        """Take the readings of ``block``."""
        for reading in readings:
            self._blocks[reading.candidate][block] = reading
            self._note(reading)

    def _note(self, reading: Reading) -> None:
        self._scored.clear()
        (self._missed if reading.share < self.asked else self._held).add(reading.candidate)

    def learn(
        self, candidates: collections.abc.Iterable[Candidate], oldest: collections.abc.Mapping[Candidate, int]
    ) -> None:
        """Fit every candidate that has a reading, without its disturbed turns."""
        self._scored.clear()
        for candidate in candidates:
            own = [reading for block, reading in self._blocks[candidate].items() if block >= oldest[candidate]]
            used = own if len(own) >= BRACKET_BLOCKS else [*self._bracket[candidate], *own]
            if not used:
                continue
            self.fits[candidate] = self._undisturbed_fit(used)

    def _undisturbed_fit(self, used: list[Reading]) -> CapacityFit:
        """Return the fit to ``used`` without disturbed turns; turns beyond suspicion decide which those are.

        Where shares fall steeply, no turn above the capacity is beyond suspicion. So if none of the remaining turns
        missed the asked share, all of ``used`` decide, unless nothing that they leave misses it either. All decide too
        where most turns of blocks would be left out: then it is the fit that is wrong, above a capacity like a cliff.
        """
        clear = [one for one in used if one.block is None or one.share >= DISTURBED_SHARE * self.asked]
        by, sound = self._sound_fit(used, clear or used)
        if len(used) - len(sound) > max(1, sum(one.block is not None for one in used) / 2):
            return fit(used, self.asked)
        if len(sound) < len(used) and all(one.share >= self.asked for one in sound):
            other, left = self._sound_fit(used, used)
            return other if any(one.share < self.asked for one in left) else by
        return by

    def _sound_fit(self, used: list[Reading], judges: list[Reading]) -> tuple[CapacityFit, list[Reading]]:
        """Return the fit to those turns of ``used`` that the fit to ``judges`` finds undisturbed, and the turns."""
        by = fit(judges, self.asked)
        sound = [one for one in used if one.block is None or not is_disturbed(one, by)]
        return by if len(sound) == len(judges) else fit(sound or used, self.asked), sound

    def scores(self, candidate: Candidate, oldest: int) -> dict[int, float]:
        """Return the scores by block, from ``oldest`` on, of the turns that may be compared."""
        key = candidate, oldest
        if key not in self._scored:
            self._scored[key] = self._score(candidate, oldest)
        return self._scored[key]

    def _score(self, candidate: Candidate, oldest: int) -> dict[int, float]:
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
        """Whether one turn of ``candidate`` missed the asked share and one held it: if not, its capacity is a guess."""
        return candidate in self._missed and candidate in self._held

    def is_missed(self, candidate: Candidate) -> bool:
        """Whether any turn of ``candidate`` missed the asked share."""
        return candidate in self._missed

    def is_wandering(self, candidate: Candidate, oldest: int, *, within_starts: bool = False) -> bool:
        """Whether the scores vary more from turn to turn than the two halves of a turn explain.

        If ``variance(scores) / mean(half_score^2)`` exceeds WANDERING times the 99th percentile of Fisher's F
        distribution, the candidate drifts for longer than a turn. ``within_starts`` takes the variance around the mean
        of each start of the servers, because starts differ without any wandering.
        """
        by = self.fits.get(candidate)
        scores = self.scores(candidate, oldest)
        if by is None or len(scores) < FEWEST_TO_WANDER:
            return False
        readings = [self._blocks[candidate][block] for block in scores]
        halves = [half_score(reading, by) for reading in readings]
        own = [half**2 for half in halves if half is not None]
        starts: dict[int, list[float]] = {}
        for reading, value in zip(readings, scores.values(), strict=True):
            starts.setdefault(reading.start if within_starts else 0, []).append(value)
        freedom = len(scores) - len(starts)
        if len(own) < len(scores) or freedom < 1:
            return False
        means = {start: statistics.fmean(values) for start, values in starts.items()}
        squares = math.fsum((value - means[start]) ** 2 for start, values in starts.items() for value in values)
        bound = WANDERING * float(scipy.special.fdtri(freedom, len(own), 0.99))
        return squares / freedom > bound * statistics.fmean(own)

    def is_warming(self, candidate: Candidate) -> bool:
        """Whether the last LAST_TURNS turns exceed what the fit to all turns expects by more than MOST_EXCESS.

        A fit follows a rising capacity by a few percent a turn only, because a turn in which all requests hold the
        limits does not show by how much.
        """
        by, own = self.fits.get(candidate), self._blocks[candidate]
        last = [own[block] for block in sorted(own)[-LAST_TURNS:]]
        return by is not None and len(last) == LAST_TURNS and excess(last, by) > MOST_EXCESS

    def disturbed(self, candidate: Candidate) -> tuple[Reading, ...]:
        """Return the block turns that are not compared because their rate alone cannot explain them."""
        by = self.fits.get(candidate)
        own = () if by is None else self._blocks[candidate].values()
        return tuple(reading for reading in own if by is not None and is_disturbed(reading, by))


class GoodputScoring:
    """Scores by the rate within all limits.

    Where limits have several percentiles, each asked share has its own fit, and a candidate is scored by the one with
    the least capacity: the share that fails first as the rate rises.
    """

    def __init__(
        self, candidates: collections.abc.Iterable[Candidate], asked: collections.abc.Iterable[float], *, reach: float
    ) -> None:
        """Score at the ``asked`` shares; ``reach`` is that of ``ShareScoring``."""
        self._candidates = tuple(candidates)
        self._by = {share: ShareScoring(self._candidates, share, reach=reach) for share in asked}

    @property
    def fits(self) -> dict[Candidate, CapacityFit]:
        """The fit of every candidate that has one, for the share that it is scored by."""
        own = ((candidate, self._binding(candidate).fits.get(candidate)) for candidate in self._candidates)
        return {candidate: by for candidate, by in own if by is not None}

    def _binding(self, candidate: Candidate) -> ShareScoring:
        """Return the scoring with the least capacity, among missed shares if any: for others it is only a guess."""
        every = list(self._by.values())
        if len(every) == 1:
            return every[0]
        fitted = [each for each in every if candidate in each.fits]
        missed = [each for each in fitted if each.is_missed(candidate)]
        return min(missed or fitted, key=lambda each: each.fits[candidate].log_capacity, default=every[0])

    def open_with(self, reading: Reading) -> None:
        """Take a reading of the bracket: it shows where to begin, but is not evidence."""
        for one in reading.by_share:
            self._by[one.asked].open_with(one)

    def add(self, block: int, readings: collections.abc.Iterable[Reading]) -> None:
        """Take the readings of ``block``."""
        for reading in readings:
            for one in reading.by_share:
                self._by[one.asked].add(block, [one])

    def learn(
        self, candidates: collections.abc.Iterable[Candidate], oldest: collections.abc.Mapping[Candidate, int]
    ) -> None:
        """Fit every candidate that has a reading, at every asked share."""
        every = tuple(candidates)
        for scoring in self._by.values():
            scoring.learn(every, oldest)

    def scores(self, candidate: Candidate, oldest: int) -> dict[int, float]:
        """Return the scores by block, from ``oldest`` on, of the turns that may be compared."""
        return self._binding(candidate).scores(candidate, oldest)

    def is_bracketed(self, candidate: Candidate) -> bool:
        """Whether a turn of ``candidate`` missed the binding share, and another held it."""
        return self._binding(candidate).is_bracketed(candidate)

    def is_wandering(self, candidate: Candidate, oldest: int, *, within_starts: bool = False) -> bool:
        """Whether the scores drift for longer than a turn; ``within_starts``: within single server starts too."""
        return self._binding(candidate).is_wandering(candidate, oldest, within_starts=within_starts)

    def is_warming(self, candidate: Candidate) -> bool:
        """Whether the last turns were so much better than the fit expects that its servers may still warm up."""
        return self._binding(candidate).is_warming(candidate)

    def disturbed(self) -> tuple[Reading, ...]:
        """Return the block turns that are not compared because their rate alone cannot explain them."""
        return tuple(one for candidate in self._candidates for one in self._binding(candidate).disturbed(candidate))


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
        """Do nothing: a throughput needs no fit."""

    def scores(self, candidate: Candidate, oldest: int) -> dict[int, float]:
        """Return the logarithms by block, from ``oldest`` on."""
        return {block: value for block, value in self._blocks[candidate].items() if block >= oldest}

    def is_wandering(self, candidate: Candidate, oldest: int, *, within_starts: bool = False) -> bool:  # noqa: ARG002 - no figure shows it
        """Return False: a turn's own noise is not known."""
        return False

    def is_warming(self, candidate: Candidate) -> bool:  # noqa: ARG002 - no fit holds a throughput down
        """Return False: a saturated turn shows its throughput whatever the turns before it were."""
        return False
