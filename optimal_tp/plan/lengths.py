"""How many output tokens each request of a stretch asks for: drawn from a seed, the same for all candidates."""

import itertools
import random
import typing

from optimal_tp.measurement.shares import WHOLE, Share


def output_lengths(
    least: int, most: int, *, seed: int, opening: int = 0, share: Share = WHOLE
) -> typing.Iterator[int] | None:
    """Return what the requests of ``share`` ask for, in order, without end; None where every request asks for ``most``.

    Each length is a whole number from ``least`` to ``most``, all equally likely. The first ``opening`` requests of the
    whole stand for requests under way, so they ask for a part of their length: from one token to all of it, equally
    likely. The same seed gives the same lengths, with an opening and without.
    """
    if least == most and not opening:
        return None
    return itertools.islice(_lengths(least, most, seed, opening), share.index, None, share.count)


def _lengths(least: int, most: int, seed: int, opening: int) -> typing.Iterator[int]:
    draw, part = random.Random(f"{seed} lengths").randint, random.Random(f"{seed} parts").randint
    for number in itertools.count():
        length = draw(least, most)
        yield part(1, length) if number < opening else length
