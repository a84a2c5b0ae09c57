"""What is said of a run that is watched: where it is, how the interval narrowed, what it cost, and what went wrong."""

import dataclasses

import pytest

from optimal_tp.measurement.progress import Progress
from optimal_tp.measurement.sweep import Leg, Sweep
from optimal_tp.telemetry.lines import brief, lines
from optimal_tp.telemetry.snapshot import Scene
from tests.fakes_candidates import TP1, TP2
from tests.fakes_watch import PROGRESS, look

NOW = 3600.0
RUNNING = dataclasses.replace(
    PROGRESS,
    stage="blocks",
    stage_started=3000,
    stage_seconds=1800,
    detail="block 9",
    lines=("block 9  TP2",),
    looks=(look(5, 0.9, 2.0), look(9, 1.2, 1.6)),
    written=NOW - 20,
)


def scene(progress: Progress | None = RUNNING, **changes: object) -> Scene:
    """Return a scene an hour after the start."""
    base = Scene(
        place="s3://b/runs/20260701T120000Z-aaaa", progress=progress, sweep=None, answers=(), now=NOW, values={}
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_a_run_under_way() -> None:
    """Stage, time left, money, the interval now and at its first look, the last minutes, the last word."""
    values = {"OutputTokensPerSecondPerCore": {TP1: 171.6, TP2: 98.0}, "RPS": {TP1: 3.4}, "WithinLimits": {TP1: 99.5}}

    assert lines(scene(values=values), 4.85) == [
        "Qwen/Qwen3-0.6B  s3://b/runs/20260701T120000Z-aaaa",
        "blocks, block 9: 10 min, at most 20 min left",
        "60 min since the load generator began: at most $4.85 so far, at $4.85 an hour where every server runs",
        "after 9 blocks: settled",
        "  TP1/TP2 per core 1.39 (1.20 to 1.60), ±15.5 %; after 5 blocks it was ±49.1 %",
        "         tokens/s per core          requests/s       within limits",
        "TP1                    172                3.40              99.5 %",
        "TP2                   98.0                   —                   —",
        "block 9  TP2",
    ]


def test_an_open_interval_has_no_width() -> None:
    """Before the data refuse a side there is nothing to narrow."""
    progress = dataclasses.replace(RUNNING, looks=(look(5, 0.0, 2.0),))

    assert lines(scene(progress), None)[-2] == "  TP1/TP2 per core 0 (0 to 2.00)"


def test_a_price_that_is_not_known_is_said() -> None:
    """No dollars are made up."""
    assert lines(scene(), None)[2] == (
        "60 min since the load generator began; what an hour costs is not known here: name the stack with --stack"
    )


def test_no_run_yet() -> None:
    """One sentence: where, and when the first word comes."""
    assert lines(scene(None, place="s3://b/runs"), 4.85) == [
        "No run yet in s3://b/runs: the load generator writes there as soon as it starts."
    ]


def test_a_silent_load_generator() -> None:
    """Minutes of silence, what that means, and its last word; no figures that look alive."""
    silent = scene(dataclasses.replace(RUNNING, written=NOW - 600), values={"RPS": {1: 3.4}})

    assert silent.is_silent
    assert lines(silent, 4.85)[3:] == [
        (
            "The load generator has been silent for 10 min: it is gone or cannot reach the bucket; its log "
            "says why, and "
            "its Deployment starts it again"
        ),
        "block 9  TP2",
    ]
    assert not scene(dataclasses.replace(RUNNING, written=NOW - 170)).is_silent


def test_a_run_that_is_over_is_never_silent() -> None:
    """It ends with its answer, and with what it cost until its last word."""
    over = scene(dataclasses.replace(RUNNING, is_over=True, written=1800), answers=("Serve with TP1.", "Sure."))

    assert not over.is_silent
    assert lines(over, 4.0)[1:] == [
        "Serve with TP1.",
        "Sure.",
        "30 min since the load generator began: at most $2.00 so far, at $4.00 an hour where every server runs",
    ]


def test_a_run_that_failed_says_its_last_word() -> None:
    """Over without a verdict is a failure, and the last line names it."""
    failed = dataclasses.replace(RUNNING, is_over=True, lines=("the server of TP2 died",), written=NOW - 200)

    assert lines(scene(failed), None)[1] == "It is over, and there is no verdict; the last word: the server of TP2 died"


SWEEP = Sweep(
    sweep="19700101T000000Z-aaaa",
    legs=(Leg(model="a/b", folder="b", state="ended"), Leg(model="a/c", folder="c", state="running")),
)


def test_a_sweep_says_which_model_has_its_turn() -> None:
    """Every model with its state, then the run of the one that is measured; money counts from the sweep's start."""
    progress = dataclasses.replace(RUNNING, started=3000.0)
    said = lines(scene(progress, sweep=SWEEP), 4.0)

    assert said[0] == "2 models: a/b ended, a/c running"
    assert (
        said[3]
        == "60 min since the load generator began: at most $4.00 so far, at $4.00 an hour where every server runs"
    )


def test_a_report_that_is_being_written_is_waited_for() -> None:
    """Between the last turn and the verdict nobody is told that there is none."""
    ended = scene(dataclasses.replace(RUNNING, is_over=True))

    assert (ended.has_ended, ended.is_over, ended.is_silent) == (True, False, False)
    assert lines(ended, None)[1] == "It has ended, and the report is being written."


def test_a_sweep_is_over_with_its_last_model() -> None:
    """A model's own end is none."""
    over = dataclasses.replace(RUNNING, is_over=True)

    assert not scene(over, sweep=SWEEP).has_ended
    assert not scene(over, sweep=SWEEP, answers=("a/b: Serve with TP1.",)).is_over
    assert scene(over, sweep=SWEEP.changed(1, "failed", "it died"), answers=("a/b: Serve with TP1.",)).is_over
    assert lines(scene(None, sweep=SWEEP), None)[-1].startswith("The next model is about to begin in s3://b/")


@pytest.mark.parametrize("seconds", [0, 1, 60])
def test_a_log_has_no_line_that_only_the_clock_changed(seconds: int) -> None:
    """Where lines are not rewritten, one is written when something happened."""
    assert (
        brief(scene(now=NOW + seconds))
        == "Qwen/Qwen3-0.6B  blocks  block 9  settled; TP1/TP2 per core 1.39 (1.20 to 1.60)"
    )
