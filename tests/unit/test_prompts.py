"""Prompts: planned lengths, uniqueness, and honesty about both."""

import itertools

import pytest

from optimal_tp.plan import prompts
from optimal_tp.plan.lengths import Shape
from optimal_tp.plan.prompts import Prompt


def test_synthetic_prompts_have_exactly_the_planned_length() -> None:
    """Each is so many ids of the model, and the plan says how many."""
    source = prompts.synthetic(range(100, 200), 30, seed=1)
    made = list(itertools.islice(source.each, 50))

    assert {len(prompt.content) for prompt in made} == {30}
    assert {prompt.tokens for prompt in made} == {30}
    assert source.tokens == 30
    assert all(100 <= token < 200 for prompt in made for token in prompt.content if isinstance(token, int))


def test_synthetic_prompts_are_unique_and_repeat_with_their_seed() -> None:
    """No two prompts of a run are equal, so that no prefix cache answers; the same seed gives the same prompts."""
    source = prompts.synthetic(range(100), 30, seed=0)
    made = list(itertools.islice(source.each, 5000))

    assert source.unique
    assert len(set(made)) == 5000
    assert made[:100] == list(itertools.islice(prompts.synthetic(range(100), 30, seed=0).each, 100))


def test_short_prompts_are_not_called_unique() -> None:
    """Two ids and three tokens make eight prompts: they must come twice."""
    assert not prompts.synthetic([1, 2], 3, seed=1).unique


def test_without_a_tokenizer_the_length_in_tokens_is_not_known() -> None:
    """Words stand in for tokens, and nobody claims to know how many tokens they are."""
    source = prompts.synthetic(None, 12, seed=1)
    made = next(source.each)

    assert isinstance(made.content, str)
    assert len(made.content.split()) == 12
    assert made.tokens is None
    assert source.tokens is None
    assert source.words == "12 random words (the server has no tokenizer to ask)"


def test_the_seeds_prompt_repeats_and_says_so() -> None:
    """One sentence again and again is served from a prefix cache."""
    source = prompts.repeated()

    assert not source.unique
    assert next(source.each) == next(source.each) == Prompt(prompts.SEED_PROMPT)


def test_a_file_of_prompts_goes_round() -> None:
    """Lines come in order and start again; blank ones are no prompts."""
    source = prompts.from_lines(["one\n", "  \n", "two\n"])

    assert [prompt.content for prompt in itertools.islice(source.each, 3)] == ["one", "two", "one"]
    assert not source.unique
    assert source.words == "2 prompts of a file, repeated"
    assert source.different == 2
    assert prompts.from_lines(["one", "two", "one"]).different is None


def test_a_trace_asks_for_its_own_lengths() -> None:
    """Prompt and output lengths of each request are those recorded, and round again."""
    made = list(itertools.islice(prompts.recorded(range(50), [Shape(3, 7), Shape(5, 9)], seed=1).each, 3))

    assert [(len(prompt.content), prompt.output_tokens) for prompt in made] == [(3, 7), (5, 9), (3, 7)]
    assert made[0].content != made[2].content


def test_a_chat_leaves_room_for_the_servers_template() -> None:
    """With 20 tokens of its own, a message of 10 words is one of 30 tokens; at least a word is left."""
    (one,) = itertools.islice(prompts.chat(30, seed=1, template_tokens=20).each, 1)
    (short,) = itertools.islice(prompts.recorded(None, [Shape(5, 9)], seed=1, template_tokens=20).each, 1)

    assert [len(str(prompt.content).split()) for prompt in (one, short)] == [10, 1]


@pytest.mark.parametrize(("shortest", "unique"), [(1, False), (7, False), (8, True)])
def test_a_trace_of_short_prompts_may_repeat_one(shortest: int, unique: object) -> None:
    """Of 50 ids there are 2,500 prompts of two tokens: among thousands of requests some come twice."""
    shapes = [Shape(tokens, 1) for tokens in (500, shortest)]

    assert prompts.recorded(range(50), shapes, seed=1).unique == unique


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [([" "], "the prompt file must have one prompt per line; it has no line with text")],
)
def test_an_empty_file_of_prompts_is_refused(lines: list[str], sentence: str) -> None:
    """There is nothing to ask."""
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        prompts.from_lines(lines)


def test_one_token_is_nothing_to_draw_from() -> None:
    """Random prompts need at least two ids."""
    with pytest.raises(ValueError, match=r"^random prompts need at least 2 token ids to draw from \(got 1\)$"):
        prompts.synthetic([4, 4], 3, seed=1)
