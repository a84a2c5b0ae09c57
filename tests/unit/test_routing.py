"""Routing among replicas: what is chosen for what is in flight."""

import collections

from optimal_tp.loadgen.routing import router
from optimal_tp.measurement.shares import WHOLE, Share


def test_the_replica_with_the_fewest_in_flight_is_chosen() -> None:
    """The one whose request ended is free again, the others are not."""
    least = router("least-in-flight", 3, seed=1, share=WHOLE)

    assert [least.choose() for _ in range(3)] == [0, 1, 2]
    least.ended(1)
    assert least.choose() == 1
    least.ended(2)
    least.ended(2)
    assert [least.choose(), least.choose()] == [2, 2]


def test_of_several_the_one_used_longest_ago_is_chosen() -> None:
    """An idle service goes round, and does not wake the first replica again and again."""
    least = router("least-in-flight", 3, seed=1, share=WHOLE)
    chosen = []
    for _ in range(6):
        chosen.append(least.choose())
        least.ended(chosen[-1])

    assert chosen == [0, 1, 2, 0, 1, 2]


def test_going_round_looks_at_nothing_and_shares_go_round_together() -> None:
    """Request n goes to replica n modulo their number, whichever process sends it."""
    whole = router("round-robin", 3, seed=1, share=WHOLE)
    second = router("round-robin", 3, seed=1, share=Share(index=1, count=2))
    whole.ended(0)

    assert [whole.choose() for _ in range(6)] == [0, 1, 2, 0, 1, 2]
    assert [second.choose() for _ in range(3)] == [1, 0, 2]


def test_random_choices_are_even_and_repeat_with_their_seed() -> None:
    """Each replica has its third of 3,000, within four standard deviations; two processes draw apart."""
    drawn = {
        (seed, index): [draws.choose() for _ in range(3000)]
        for seed in (1, 2)
        for index in (0, 1)
        for draws in [router("random", 3, seed=seed, share=Share(index=index, count=2))]
    }
    again = router("random", 3, seed=1, share=Share(index=0, count=2))

    assert [again.choose() for _ in range(3000)] == drawn[1, 0]
    assert len({tuple(each) for each in drawn.values()}) == 4
    assert all(abs(count - 1000) < 4 * 26 for count in collections.Counter(drawn[1, 0]).values())
