"""What requests ask: prompts of a planned length, and whether a prefix cache could serve them."""

import dataclasses
import itertools
import random
import typing

from optimal_tp.errors import quantity
from optimal_tp.plan.lengths import Shape, recorded_shapes

SEED_PROMPT = (
    "San Francisco is a coastal California city known for hills, bridges, fog, diverse neighborhoods, and tech culture."
)
"""The AWS sample's only prompt. Source: its load generator's manifest, read 2026-11-23."""


@dataclasses.dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt."""

    content: str | tuple[int, ...]
    """Text, or token ids of the served model."""
    tokens: int | None = None
    """Planned length in tokens; None where no tokenizer said."""
    output_tokens: int | None = None
    """Tokens to ask for; None takes the stretch's number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompts:
    """A source of prompts without end, in the order of sends."""

    each: typing.Iterator[Prompt]
    unique: bool
    """False if a prompt may come twice, so that a prefix cache could answer for the model."""
    different: int | None = None
    """How many come before one comes again; None where that is not known, or none does."""
    tokens: int | None
    """Length of each, where all have the same and a tokenizer said so."""
    words: str
    """What they are, for the report."""
    exact: bool = False
    """True if every prompt has its planned length in tokens."""
    sized: typing.Callable[[Shape], Prompt] | None = None
    """Makes a prompt of a size, another one each time; None where sizes are not told one by one."""


def from_tokens(ids: typing.Sequence[int], lengths: typing.Iterable[int], *, seed: int) -> typing.Iterator[Prompt]:
    """Yield prompts of exactly the ``lengths`` given, drawn at random from the token ``ids``.

    Raises ValueError if ``ids`` has fewer than two different ids.
    """
    choices = sorted(set(ids))
    if len(choices) < 2:  # noqa: PLR2004
        raise ValueError(f"random prompts need at least 2 token ids to draw from (got {len(choices)})")
    draw = random.Random(seed).choices
    return (Prompt(tuple(draw(choices, k=length)), length) for length in lengths)


def from_words(words: typing.Sequence[str], lengths: typing.Iterable[int], *, seed: int) -> typing.Iterator[Prompt]:
    """Yield texts of as many random ``words`` as ``lengths`` says, for servers without a tokenizer to ask.

    Their length in tokens is not known, so it is None. Raises ValueError if ``words`` has fewer than two.
    """
    if len(set(words)) < 2:  # noqa: PLR2004
        raise ValueError(f"random prompts need at least 2 words to draw from (got {len(set(words))})")
    draw = random.Random(seed).choices
    return (Prompt(" ".join(draw(words, k=length)), None) for length in lengths)


def synthetic(ids: typing.Sequence[int] | None, tokens: int, *, seed: int) -> Prompts:
    """Return random prompts of ``tokens`` tokens from the served model's ``ids``; of words where ``ids`` is None."""
    lengths = itertools.repeat(tokens)
    if ids is None:
        each, words = (
            from_words(WORDS, lengths, seed=seed),
            f"{tokens} random words (the server has no tokenizer to ask)",
        )
        return Prompts(each=each, unique=_spread(len(WORDS), tokens), tokens=None, words=words)
    each = from_tokens(ids, lengths, seed=seed)
    return Prompts(
        each=each, unique=_spread(len(set(ids)), tokens), tokens=tokens, words=f"{tokens} random tokens", exact=True
    )


_PRACTICALLY_UNIQUE = 1e12  # among a million prompts two are equal with probability 0.4


def _spread(choices: int, length: int) -> bool:
    return float(choices) ** min(length, 64) >= _PRACTICALLY_UNIQUE


def repeated(text: str = SEED_PROMPT, *, tokens: int | None = None) -> Prompts:
    """Return one text again and again, as the AWS sample does."""
    return Prompts(
        each=itertools.repeat(Prompt(text, tokens)), unique=False, tokens=tokens, words="one sentence, repeated"
    )


def from_lines(lines: typing.Iterable[str]) -> Prompts:
    """Return the prompts of a user's file, one a line, from the start again after its end.

    Raises ValueError if no line has text.
    """
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise ValueError("the prompt file must have one prompt per line; it has no line with text")
    each = itertools.cycle([Prompt(text, None) for text in texts])
    different = len(texts) if len(set(texts)) == len(texts) else None
    words = f"{quantity(len(texts), 'prompt', 'prompts')} of a file, repeated"
    return Prompts(each=each, unique=False, different=different, tokens=None, words=words)


def recorded(
    ids: typing.Sequence[int] | None,
    shapes: typing.Sequence[Shape],
    *,
    seed: int,
    template_tokens: int = 0,
) -> Prompts:
    """Return random prompts with the sizes that a trace recorded, from its first request on and round again.

    Of the served model's token ``ids``, or of words where they are None, less what the server's template adds.
    """
    draw = random.Random(seed).choices
    choices = sorted(set(ids or ()))

    def sized(shape: Shape) -> Prompt:
        """Return a random prompt of that size, at least one word or token long."""
        length = max(1, shape.prompt_tokens - template_tokens)
        if ids is None:
            return Prompt(" ".join(draw(WORDS, k=length)), None, shape.output_tokens)
        return Prompt(tuple(draw(choices, k=length)), length, shape.output_tokens)

    shortest = max(1, min(shape.prompt_tokens for shape in shapes) - template_tokens)
    unit = "words" if ids is None else "tokens"
    return Prompts(
        each=map(sized, recorded_shapes(shapes, 0, seed=seed)),
        unique=_spread(len(WORDS) if ids is None else len(choices), shortest),
        tokens=None,
        words=f"random {unit}, as many as the trace recorded",
        sized=sized,
    )


def chat(tokens: int, *, seed: int, template_tokens: int = 0) -> Prompts:
    """Return random texts that have about ``tokens`` with what the server's template adds, ``template_tokens``."""
    count = max(1, tokens - template_tokens)
    each = from_words(WORDS, itertools.repeat(count), seed=seed)
    words = f"{count} random words in the server's chat template"
    return Prompts(each=each, unique=_spread(len(WORDS), count), tokens=None, words=words)


_WORDS = """time year people way day man thing woman life child world school state family student group country problem
hand part place case week company system program question work government number night point home water room mother
area money story fact month lot right study book eye job word business issue side kind head house service friend
father power hour game line end member law car city community name president team minute idea body information back
parent face others level office door health person art war history party result change morning reason research"""
WORDS: typing.Final = tuple(_WORDS.split())
"""Common English nouns; most are one token each in the vocabularies of today's models."""
