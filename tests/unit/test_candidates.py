"""A candidate has one name, which is read back as it was written."""

import pytest

from optimal_tp.facts.candidates import Candidate, candidate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", Candidate(1)),
        ("tp4", Candidate(4)),
        ("TP2-B16", Candidate(2, 16)),
        ("2-b16", Candidate(2, 16)),
    ],
)
def test_every_way_of_writing_a_candidate_is_read(text: str, expected: Candidate) -> None:
    """A degree alone, with its letters, and with a batch."""
    assert candidate(text) == expected
    assert candidate(expected.name) == candidate(expected.slug) == expected


@pytest.mark.parametrize("text", ["", "tp", "b4", "1-4", "x1", "1 b4"])
def test_another_text_is_refused_with_the_rule(text: str) -> None:
    """The sentence says what a candidate looks like."""
    with pytest.raises(ValueError, match=r"a degree \(2\), or a degree and its batch \(tp2-b16\)"):
        candidate(text)


def test_candidates_are_ordered_by_degree_then_batch() -> None:
    """As a table lists them."""
    one, four, two = Candidate(1, 1), Candidate(1, 4), Candidate(2)

    assert sorted([two, four, one]) == [one, four, two]
