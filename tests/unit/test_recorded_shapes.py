"""Sizes of a trace: in its order from a drawn place on, the same for every candidate, in parts for an opening."""

import itertools

from optimal_tp.experiment.courses import Course
from optimal_tp.experiment.guidance import Guidance
from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.plan.lengths import Shape, recorded_shapes, window
from optimal_tp.plan.schedule import Replay
from optimal_tp.plan.traces import Trace
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_candidates import TP1, TP2
from tests.fakes_run import total_limit

SHAPES = tuple(Shape(10 + number, 20 + number) for number in range(7))


def taken(count: int, first: int, *, opening: int = 0, share: Share = WHOLE) -> list[Shape]:
    """Return the first sizes."""
    return list(itertools.islice(recorded_shapes(SHAPES, first, seed=3, opening=opening, share=share), count))


def test_sizes_go_round_from_where_they_begin() -> None:
    """The last request of the trace is followed by its first."""
    assert taken(9, 5) == [SHAPES[(5 + number) % 7] for number in range(9)]


def test_an_opening_asks_for_a_part_of_each_output() -> None:
    """Those requests stand for some that are under way; prompts stay whole, and what follows is as recorded."""
    parts = taken(12, 2, opening=10)

    assert [part.prompt_tokens for part in parts] == [shape.prompt_tokens for shape in taken(12, 2)]
    assert all(1 <= part.output_tokens <= whole.output_tokens for part, whole in zip(parts, taken(12, 2), strict=True))
    assert parts[10:] == taken(12, 2)[10:]
    assert parts[:10] != taken(10, 2)


def test_shares_together_have_the_sizes_of_the_whole() -> None:
    """Every third request each."""
    shares = [taken(4, 1, opening=5, share=Share(index=index, count=3)) for index in range(3)]

    assert [shares[number % 3][number // 3] for number in range(12)] == taken(12, 1, opening=5)


def test_a_window_is_anywhere() -> None:
    """Each place is drawn, by the seed alone."""
    assert {window(seed, 7) for seed in range(200)} == set(range(7))
    assert window(5, 1000) == window(5, 1000)


def test_every_candidate_replays_the_same_arrivals_at_its_own_rate() -> None:
    """One block: the same place of the trace, stretched so that the rate per core is the one that is asked."""
    load = {"trace": "t.csv", "trace_use": "arrivals", "rates_per_second_per_core": [2]}
    settings = parse_workloads({"degrees": [1, 2], "load": load, "limits": total_limit(100)}, file="x.yaml")
    trace = Trace(
        path="t.csv",
        form="a table of lengths",
        has_unit=True,
        digest="",
        shapes=SHAPES,
        times=(0, 0, 0, 5, 5, 9, 12),
        read=7,
        too_long=0,
        without_tokens=0,
        is_cut=False,
    )
    courses = {each: Course(servers=1, cores_used=each.degree, slots=4, alone_seconds=0.1) for each in (TP1, TP2)}
    guidance = Guidance(settings, courses, trace)
    one, two = (guidance.search(each, 11) for each in (TP1, TP2))
    assert one is not None
    assert two is not None
    assert isinstance(one.arrivals, Replay)
    assert isinstance(two.arrivals, Replay)

    assert one.arrivals.first == two.arrivals.first == window(11, 7)
    assert round(one.arrivals.rate_per_second or 0, 9) == 2
    assert round(two.arrivals.rate_per_second or 0, 9) == 4
    slow, fast = (itertools.islice(each.times(), 1, 20) for each in (one.arrivals, two.arrivals))
    assert [round(moment, 9) for moment in slow] == [round(2 * moment, 9) for moment in fast]
