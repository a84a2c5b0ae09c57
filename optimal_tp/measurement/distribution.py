"""Counts of many values in bounded memory, and their percentiles."""

import collections
import collections.abc
import itertools
import math


def rank(count: int, percent: float) -> int:
    """Return the rank, from 1, of the smallest of ``count`` values that at least ``percent`` % do not exceed."""
    return max(1, math.ceil(round(percent / 100 * count, 9)))


def percentile_of(ordered: collections.abc.Sequence[float], percent: float) -> float | None:
    """Return the percentile of values in rising order; None without any."""
    return ordered[rank(len(ordered), percent) - 1] if ordered else None


class Histogram:
    """Values with their counts: exact up to ``most`` different ones, in classes beyond that.

    Values of one class differ by at most the share ``width``; where more than ``most`` classes would be needed, the
    width doubles. All values of 0 and below are one class. Count, sum, least and greatest are exact.
    """

    def __init__(self, *, most: int, width: float) -> None:
        self._most = most
        self._width = math.log1p(width)
        self._exact: collections.Counter[float] = collections.Counter()
        self._classes: dict[float, list[float]] = {}
        """Count and sum of each class, by the logarithm of its values in widths."""

    def __len__(self) -> int:
        """Return how many numbers stand for all values."""
        return len(self._exact) + len(self._classes)

    def add(self, value: float) -> None:
        """Count one finite value."""
        self._exact[value] = self._exact.get(value, 0) + 1
        if len(self._exact) + len(self._classes) > self._most:
            self._fold()

    def add_all(self, values: collections.abc.Iterable[float] | collections.abc.Mapping[float, int]) -> None:
        """Count finite ``values``, or add their counts."""
        self._exact.update(values)
        if len(self) > self._most:
            self._fold()

    def _fold(self) -> None:
        """Move all values but the least and the greatest into classes."""
        ends = {value: self._exact.pop(value) for value in {min(self._exact), max(self._exact)}}
        classes, logarithm, width = self._classes, math.log, self._width  # local names: a hot loop
        for value, count in self._exact.items():
            index = logarithm(value) // width if value > 0 else -math.inf
            known = classes.get(index)
            if known is None:
                classes[index] = [count, count * value]
            else:
                known[0] += count
                known[1] += count * value
        self._exact = collections.Counter(ends)
        while len(self) > self._most:
            self._widen()

    def _widen(self) -> None:
        self._width *= 2
        narrow, self._classes = self._classes, {}
        for index, (count, total) in narrow.items():
            known = self._classes.setdefault(index // 2 if index > -math.inf else index, [0, 0])
            known[0] += count
            known[1] += total

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self._exact.values()) + int(sum(count for count, _ in self._classes.values()))

    @property
    def mean(self) -> float | None:
        """Mean of all values; None without any."""
        total = sum(value * count for value, count in self._exact.items())
        total += sum(total for _, total in self._classes.values())
        return total / self.count if self._exact else None

    @property
    def greatest(self) -> float | None:
        """Greatest value; None without any."""
        return max(self._exact, default=None)

    def percentile(self, percent: float) -> float | None:
        """Return the percentile, at most one class too high; None without values."""
        if not self._exact:
            return None
        edges = ((math.exp((index + 1) * self._width), count) for index, (count, _) in self._classes.items())
        ordered = sorted([*self._exact.items(), *edges])
        reached = itertools.accumulate(count for _, count in ordered)
        wanted = rank(self.count, percent)
        found = next(value for (value, _), seen in zip(ordered, reached, strict=True) if seen >= wanted)
        return min(found, max(self._exact))

    def means(self) -> list[tuple[float, float]]:
        """Return (value, count) in rising order; the mean of a class stands for all of its values."""
        told: dict[float, float] = dict(self._exact)
        for count, total in self._classes.values():
            mean = min(max(total / count, min(self._exact)), max(self._exact))  # rounding may carry it further
            told[mean] = told.get(mean, 0) + count
        return sorted(told.items())
