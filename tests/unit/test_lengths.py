"""Output lengths: even over their range, the same for the same seed, parts for an opening."""

import collections
import itertools

from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.plan.lengths import output_lengths


def first(count: int, *, seed: int = 5, opening: int = 0, share: Share = WHOLE) -> list[int]:
    """Return the first lengths from 8 to 24."""
    lengths = output_lengths(8, 24, seed=seed, opening=opening, share=share)
    assert lengths is not None
    return list(itertools.islice(lengths, count))


def test_every_length_of_the_range_is_equally_likely() -> None:
    """Both ends belong to it; each of 17 lengths has its 1,000 of 17,000 draws, within four standard deviations."""
    seen = collections.Counter(first(17_000))

    assert sorted(seen) == list(range(8, 25))
    assert all(abs(count - 1000) < 4 * 31 for count in seen.values())


def test_the_same_seed_gives_the_same_lengths() -> None:
    """Two candidates with one seed do the same work in the same order."""
    assert first(100) == first(100)
    assert first(100) != first(100, seed=6)


def test_an_opening_asks_for_parts_and_leaves_the_others_as_they_were() -> None:
    """A part is between one token and the length that it is a part of; all of them come up."""
    whole, parts = first(3000), first(3000, opening=2000)

    assert parts[2000:] == whole[2000:]
    assert all(1 <= part <= length for part, length in zip(parts[:2000], whole, strict=False))
    assert set(parts[:2000]) == set(range(1, 25))


def test_shares_together_ask_for_the_lengths_of_the_whole() -> None:
    """Request n of the whole has the same length, whichever process sends it."""
    whole = first(30, opening=7)

    assert [first(10, opening=7, share=Share(index=index, count=3)) for index in range(3)] == [
        whole[index::3] for index in range(3)
    ]


def test_one_length_for_all_needs_no_draw() -> None:
    """Without a range and an opening there is nothing to draw; an opening draws parts of the one length."""
    assert output_lengths(4, 4, seed=1) is None
    lengths = output_lengths(4, 4, seed=1, opening=200)
    assert lengths is not None
    assert set(itertools.islice(lengths, 200)) == {1, 2, 3, 4}
    assert next(lengths) == 4
