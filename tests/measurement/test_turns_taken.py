"""A turn carries what its stretch was: whose it is, what counts, and how long the client stood still."""

import asyncio
import time
import typing

import pytest

from optimal_tp.experiment.turns import Halt, OpenArena, Turns
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.counted import Counted
from optimal_tp.loadgen.stretch import Stretch, Target
from optimal_tp.measurement.audit import LATENESS_FLOOR_MS, LONGEST_PAUSE_FACTOR
from optimal_tp.measurement.quota import Throttled
from optimal_tp.measurement.run_audit import turn_reasons
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, key, of
from optimal_tp.plan.schedule import Arrivals, Constant, Stream
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_samples import endless_prompts, run
from tests.fakes_server import Script, ScriptedServer


def taken(
    arrivals: Arrivals,
    *,
    pause_seconds: float = 0,
    halt_after: float | None = None,
    held: tuple[Throttled | None, Throttled | None] = (None, None),
    **stretch: typing.Any,
) -> tuple[Turn, list[Sample]]:
    """Take one turn of TP2 with a batch of 4; the client stands still for ``pause_seconds`` with its tenth sample."""
    samples: list[Sample] = []
    readings = iter(held)

    def keep(sample: Sample) -> None:
        samples.append(sample)
        if len(samples) == 10:
            time.sleep(pause_seconds)

    async def work(url: str) -> Turn:
        halt = Halt(event=asyncio.Event())
        if halt_after is not None:
            asyncio.get_running_loop().call_later(halt_after, halt.set, "interrupted", "enough")
        turns = Turns(
            targets={Candidate(2, 4): Target(urls=(url,), model="scripted")},
            prompts={Candidate(2, 4): lambda _: endless_prompts()},
            arena=OpenArena(),
            halt=halt,
            pause_seconds=0,
            clock=time.perf_counter,
            origin=time.perf_counter(),
            on_sample=keep,
            held_back=lambda: next(readings),
        )
        asked: dict[str, typing.Any] = {
            "stage": "block",
            "degree": 2,
            "max_num_seqs": 4,
            "block": 1,
            "seconds": None,
            "max_tokens": 3,
        }
        taken = await turns.take(Stretch(**(asked | {"arrivals": arrivals} | stretch)))
        assert taken is not None
        return taken

    with ScriptedServer(Script()) as server:
        return run(work(server.url)), samples


def test_a_turn_says_what_counts_and_whose_it_is() -> None:
    """Samples and turn have one key, with the batch in it; the rate is that of the arrivals after the opening."""
    turn, samples = taken(Stream(rate_per_second=300, seed=1, opening=5), counted=Counted(first=8, count=20))

    assert (turn.uncounted, turn.counted, turn.cut_short, turn.rate_per_second) == (8, 20, False, 300)
    assert of(turn) == Candidate(2, 4)
    assert {key(sample) for sample in samples} == {key(turn)}
    assert turn.requests == len(samples) >= 28


def test_an_opening_counts_for_nothing_where_no_number_is_said() -> None:
    """Its requests ask for parts."""
    turn, _ = taken(Stream(rate_per_second=300, seed=1, opening=5), requests=20)

    assert (turn.uncounted, turn.counted, turn.cut_short) == (5, None, False)


def test_a_halted_turn_is_cut_short() -> None:
    """Its caller need not look at the halt to know."""
    turn, _ = taken(Constant(rate_per_second=100), counted=Counted(first=0, count=1000), halt_after=0.1)

    assert turn.cut_short


@pytest.mark.parametrize("pause_seconds", [0, 0.3])
def test_a_client_that_stands_still_voids_its_turn(pause_seconds: float) -> None:
    """One pause of 300 ms in a turn of some seconds is below the 99th percentile, and is found all the same."""
    turn, samples = taken(Constant(rate_per_second=100), requests=50, pause_seconds=pause_seconds)
    reasons = turn_reasons(turn, samples, parse_workloads({}, file="x.yaml"), {})

    assert turn.longest_lag_ms is not None
    stood = [reason for reason in reasons if reason.startswith("the client paused for ")]
    assert bool(stood) == (turn.longest_lag_ms > LONGEST_PAUSE_FACTOR * LATENESS_FLOOR_MS)
    assert bool(stood) >= (pause_seconds > 0)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ((Throttled(5, 1.0), Throttled(8, 1.5)), (3, 0.5)),
        ((Throttled(5, 1.0), Throttled(5, 1.0)), (0, 0.0)),
        ((None, None), (None, None)),
    ],
    ids=["held back", "not held back", "no count"],
)
def test_a_turn_says_how_long_a_quota_held_it_back(
    held: tuple[Throttled | None, Throttled | None], expected: tuple[int | None, float | None]
) -> None:
    """What a quota held back before the turn is not the turn's, and no count is not zero."""
    turn, _ = taken(Constant(rate_per_second=100), requests=3, held=held)

    assert (turn.throttled_periods, turn.throttled_seconds) == expected
