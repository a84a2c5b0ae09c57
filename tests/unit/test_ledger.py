"""What a run keeps: a share of a turn says what the whole of it comes to."""

import dataclasses
import pathlib

import pytest

from optimal_tp.experiment.ledger import Ledger
from optimal_tp.measurement.samples import Status
from optimal_tp.measurement.shares import Share
from tests.fakes_run import Planted, Recorder, planted_run, settings, total_limit


@pytest.mark.parametrize(("count", "slots"), [(1, 4), (2, 4), (3, 4), (3, 3)])
def test_a_share_of_a_closed_loop_tells_the_throughput_of_all_slots(
    tmp_path: pathlib.Path, count: int, slots: int
) -> None:
    """Each slot gives its part of 200 tokens/s, so the slots of one process times all over its own are all of it."""
    recorder = Recorder()
    recorder.turn(
        Planted(degree=2, latency_ms=250, noise=0, jitter=0), "block", requests=40, block=0, concurrency=slots
    )
    share = Share(index=0, count=count)
    record, _ = planted_run(blocks=1)
    ledger = Ledger(
        dataclasses.replace(record, turns=()),
        tmp_path,
        bucket=None,
        minutes=None,
        elapsed=lambda: 0.0,
        share=share,
    )
    own = [sample for sample in recorder.samples if (sample.request % slots) % count == 0]
    for sample in own:
        ledger.add_sample(sample)
    kept = ledger.add_turn(dataclasses.replace(recorder.turns[0], requests=len(own)))

    assert "200.0 tok/s" in ledger.figures(kept)


def test_a_turns_line_tells_failures_from_requests_that_were_given_up(tmp_path: pathlib.Path) -> None:
    """One was refused; two were cancelled once they had missed the limit."""
    recorder = Recorder()
    recorder.turn(Planted(degree=2, latency_ms=250, noise=0, jitter=0), "block", requests=10, block=0)
    record, _ = planted_run(section=settings(limits=total_limit(240)), blocks=1)
    ledger = Ledger(dataclasses.replace(record, turns=()), tmp_path, bucket=None, minutes=None, elapsed=lambda: 0.0)
    bad: dict[int, Status] = {0: "refused", 1: "cancelled", 2: "cancelled"}
    for number, sample in enumerate(recorder.samples):
        status: Status = bad.get(number, "ok")
        ledger.add_sample(dataclasses.replace(sample, status=status))

    assert "10 requests (1 failed, 2 given up)" in ledger.figures(ledger.add_turn(recorder.turns[0]))
