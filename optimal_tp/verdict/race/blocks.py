"""The race: candidates compared block by block until one is a safe choice.

After every block each candidate's turns are scored by the logarithm of its capacity per core, and the scores of two
candidates are paired block by block. A candidate is a safe choice when no other can be more than the resolution better,
beyond doubt.
"""

import collections.abc
import dataclasses
import graphlib
import itertools
import math
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.verdict.race.pairs import Pair, Rules, lead, trend, wandered, warmed
from optimal_tp.verdict.race.scoring import Scoring

CANDIDATE_TREND = 3.0
"""Absolute t, of the slope of a candidate's scores over its blocks, above which its oldest third is dropped."""
PAIR_TREND = 3.5
"""The same for the differences of a pair."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """What the race says after a block."""

    blocks: int
    pairs: tuple[Pair, ...]
    """Pairs of candidates still in the race, the smaller one first."""
    former: tuple[Pair, ...]
    """Pairs with a candidate that left the race, as they were then; they need not show anything."""
    beaten: typing.Mapping[Candidate, Pair]
    """Candidates that left, each with the pair that showed another to be better; this is never taken back."""
    safe: Candidate | None
    """The smallest candidate against which no other can be more than the resolution better; None for none yet."""
    wandering: tuple[Candidate, ...]
    """Candidates that drift for longer than a turn: no comparison with them is called better."""
    forgotten: typing.Mapping[Candidate, int]
    """Number of blocks at the beginning of the run that a candidate's trend has excluded."""
    cycle: tuple[Candidate, ...] = ()
    """Candidates in a circle: each is shown to be better than the next, and the last better than the first. Then no
    candidate leaves and no choice stands."""


class StartedReading(typing.Protocol):
    """A reading that knows the start of its candidate's servers."""

    @property
    def candidate(self) -> Candidate:
        """The candidate of the reading."""

    @property
    def start(self) -> int:
        """The number of the start."""


Scored = typing.TypeVar("Scored", bound=StartedReading)


class Race(typing.Generic[Scored]):
    """Takes the turns of a run, block by block, in order; the same turns give the same standings."""

    def __init__(self, candidates: collections.abc.Iterable[Candidate], scoring: Scoring[Scored], rules: Rules) -> None:
        """Compare ``candidates`` by ``scoring``."""
        self.scoring = scoring
        self.rules = rules
        self._oldest = dict.fromkeys(sorted(candidates), 0)
        self._beaten: dict[Candidate, Pair] = {}
        self._last: dict[tuple[Candidate, Candidate], Pair] = {}
        self._safe: Candidate | None = None
        self._cycle: tuple[Candidate, ...] = ()
        self._blocks = 0
        self._starts: dict[Candidate, dict[int, int]] = {candidate: {} for candidate in self._oldest}

    @property
    def racing(self) -> tuple[Candidate, ...]:
        """Candidates that are still in the race, ascending."""
        return tuple(candidate for candidate in self._oldest if candidate not in self._beaten)

    def add_block(self, readings: collections.abc.Iterable[Scored], number: int | None = None) -> Standing:
        """Take what the next block measured, one reading of each candidate at most; return what is known now.

        ``number`` is the block's, from 0, where a record lacks blocks before it; None means one more than the last.
        """
        self._blocks = self._blocks if number is None else number
        taken = list(readings)
        self.scoring.add(self._blocks, taken)
        for one in taken:
            self._starts[one.candidate][self._blocks] = one.start
        self._blocks += 1
        racing = self.racing
        self.scoring.learn(racing, self._oldest)
        scores = {candidate: self._scores(candidate) for candidate in racing}
        if self._forget(racing, scores):
            self.scoring.learn(racing, self._oldest)
            scores = {candidate: self._scores(candidate) for candidate in racing}
        unsteady = {one for one in racing if self.scoring.is_wandering(one, self._oldest[one], within_starts=True)}
        wandering = unsteady | {one for one in racing if self.scoring.is_wandering(one, self._oldest[one])}
        warming = {one for one in racing if self.rules.most_looks is not None and self.scoring.is_warming(one)}
        pairs = [
            warmed(self._pair(first, second, _differences(scores[first], scores[second]), wandering, unsteady), warming)
            for first, second in itertools.combinations(racing, 2)
        ]
        former = {names: pair for names, pair in self._last.items() if not {*names} <= {*racing}}
        self._last |= {(pair.first, pair.second): pair for pair in pairs}
        if self._blocks in self.rules.looks():
            self._claim(pairs, {candidate for candidate in racing if scores[candidate]})
        return Standing(
            blocks=self._blocks,
            pairs=tuple(pairs),
            former=tuple(former.values()),
            beaten=dict(self._beaten),
            safe=None if self._cycle else self._safe,
            wandering=tuple(sorted(wandering)),
            forgotten=dict(self._oldest),
            cycle=self._cycle,
        )

    def _pair(
        self,
        first: Candidate,
        second: Candidate,
        differences: collections.abc.Mapping[int, float],
        wandering: collections.abc.Set[Candidate],
        unsteady: collections.abc.Set[Candidate],
    ) -> Pair:
        found = wandered(lead(first, second, differences, self.rules), unsteady & {first, second})
        by_start: dict[tuple[int, int], list[float]] = {}
        for block, difference in differences.items():
            starts = self._starts[first][block], self._starts[second][block]
            by_start.setdefault(starts, []).append(difference)
        leads = {math.fsum(own) > 0 for own in by_start.values() if len(own) > 1}
        return dataclasses.replace(found, wanders=bool(wandering & {first, second}), starts_differ=len(leads) > 1)

    def _scores(self, candidate: Candidate) -> dict[int, float]:
        return self.scoring.scores(candidate, self._oldest[candidate])

    def _forget(
        self, racing: tuple[Candidate, ...], scores: collections.abc.Mapping[Candidate, dict[int, float]]
    ) -> bool:
        """Drop the oldest third of each candidate that still rises or falls; return whether there was one."""
        if self.rules.most_looks is not None:
            return False
        starts = self._starts
        restless = {one for one in racing if abs(trend(scores[one], starts[one])) > CANDIDATE_TREND}
        for first, second in itertools.combinations(racing, 2):
            differences = _differences(scores[first], scores[second])
            both = {block: (starts[first][block], starts[second][block]) for block in differences}
            if abs(trend(differences, both)) > PAIR_TREND:
                restless |= {first, second}
        for candidate in restless:
            self._oldest[candidate] += math.ceil((self._blocks - self._oldest[candidate]) / 3)
        return bool(restless)

    def _claim(self, pairs: collections.abc.Iterable[Pair], scored: collections.abc.Container[Candidate]) -> None:
        """Keep what is shown now: beaten candidates and the safe choice, which must have a score even if alone.

        A ranking that runs in a circle shows that the pairs do not measure one thing, so it beats no candidate.
        """
        own = {(pair.first, pair.second): pair for each in pairs for pair in (each, each.turned())}
        better = [pair for pair in own.values() if pair.is_better]
        self._cycle = _cycle(better)
        if self._cycle:
            return
        for pair in better:
            self._beaten.setdefault(pair.second, pair)
        racing = self.racing
        if self._safe is None:
            safe = (
                candidate
                for candidate in racing
                if candidate in scored and all(own[candidate, other].is_safe for other in racing if other != candidate)
            )
            self._safe = next(safe, None)


def _cycle(better: collections.abc.Iterable[Pair]) -> tuple[Candidate, ...]:
    """Return candidates of ``better`` in a circle: each beats the next, and the last the first. Empty without one."""
    beaten_by: dict[Candidate, set[Candidate]] = {}
    for pair in better:
        beaten_by.setdefault(pair.second, set()).add(pair.first)
    try:
        graphlib.TopologicalSorter(beaten_by).prepare()
    except graphlib.CycleError as error:
        circle: list[Candidate] = error.args[1]
        return tuple(circle[:-1])
    return ()


def _differences(
    first: collections.abc.Mapping[int, float], second: collections.abc.Mapping[int, float]
) -> dict[int, float]:
    return {block: first[block] - second[block] for block in sorted(first.keys() & second.keys())}
