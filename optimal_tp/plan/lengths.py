"""How many tokens each request of a stretch has: drawn from a seed or as recorded, the same for all candidates."""

import itertools
import random
import typing

from optimal_tp.measurement.shares import WHOLE, Share


class Shape(typing.NamedTuple):
    """The size of one request, both at least 1."""

    prompt_tokens: int
    output_tokens: int


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


def recorded_shapes(
    shapes: typing.Sequence[Shape], first: int, *, seed: int, opening: int = 0, share: Share = WHOLE
) -> typing.Iterator[Shape]:
    """Yield the sizes of the requests of ``share``: as recorded from number ``first`` on, and round again, without end.

    The first ``opening`` requests of the whole ask for a part of their output, as ``output_lengths`` says.
    """
    part = random.Random(f"{seed} parts").randint
    parts = (part(1, shapes[(first + number) % len(shapes)].output_tokens) for number in range(opening))
    for number, cut in itertools.islice(
        zip(itertools.count(), itertools.chain(parts, itertools.repeat(None))), share.index, None, share.count
    ):
        shape = shapes[(first + number) % len(shapes)]
        yield shape if cut is None else Shape(shape.prompt_tokens, cut)


def window(seed: int, requests: int) -> int:
    """Return at which of so many recorded ``requests`` a stretch begins: each equally likely, from the seed."""
    return random.Random(f"{seed} window").randrange(requests)
