"""What is said of a run that is watched: where it is, how the interval narrowed, what it cost, and what went wrong."""

import dataclasses
import datetime as dt

import pytest

from optimal_tp.measurement.progress import Progress
from optimal_tp.measurement.sweep import Leg, Sweep
from optimal_tp.telemetry.lines import UNKNOWN, Bar, Spending, as_data, bars, brief, lines
from optimal_tp.telemetry.snapshot import Snapshot
from tests.fakes_candidates import TP1, TP2
from tests.fakes_watch import PROGRESS, look

NOW = 3600.0
SPENDING = Spending(usd_per_hour=4.85, budget_usd=20.0, stops_at=dt.datetime.fromtimestamp(5400, dt.UTC))
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


def scene(progress: Progress | None = RUNNING, **changes: object) -> Snapshot:
    """Return a scene an hour after the start."""
    base = Snapshot(
        place="s3://b/runs/20260701T120000Z-aaaa", progress=progress, sweep=None, answers=(), now=NOW, values={}
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_a_run_under_way() -> None:
    """Stage, time left, money, the interval now and at its first look, the last minutes, the last word."""
    values = {"OutputTokensPerSecondPerCore": {TP1: 171.6, TP2: 98.0}, "RPS": {TP1: 3.4}, "WithinLimits": {TP1: 99.5}}

    assert lines(scene(values=values), SPENDING) == [
        "Qwen/Qwen3-0.6B  s3://b/runs/20260701T120000Z-aaaa",
        "blocks, block 9: 10 min, at most 20 min left",
        "spent at most $4.85 of $20.00 in 60 min, at $4.85 an hour; servers stop by 01:30 UTC, in 30 min",
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

    assert lines(scene(progress), UNKNOWN)[-2] == "  TP1/TP2 per core 0 (0 to 2.00)"


def test_a_price_that_is_not_known_is_said() -> None:
    """No dollars are made up."""
    assert lines(scene(), UNKNOWN)[2] == "60 min since the load generator began; --stack STACK adds what it costs"


def test_no_run_yet() -> None:
    """Where, when the first word comes, and until when money may be spent."""
    assert lines(scene(None, place="s3://b/runs"), SPENDING) == [
        "No run yet in s3://b/runs: the load generator writes there as soon as its pod starts.",
        "servers stop by 01:30 UTC, in 30 min",
    ]


def test_a_silent_load_generator() -> None:
    """Minutes of silence, what that means, and its last word; no figures that look alive."""
    silent = scene(dataclasses.replace(RUNNING, written=NOW - 600), values={"RPS": {1: 3.4}})

    assert silent.is_silent
    assert lines(silent, SPENDING)[3:] == [
        (
            "The load generator has been silent for 10 min: it is gone or cannot reach the bucket. Its log "
            "says why; its Deployment starts it again."
        ),
        "block 9  TP2",
    ]
    assert not scene(dataclasses.replace(RUNNING, written=NOW - 170)).is_silent


def test_a_run_that_is_over_is_never_silent() -> None:
    """It ends with its answer, and with what it cost until its last word."""
    over = scene(dataclasses.replace(RUNNING, is_over=True, written=1800), answers=("Serve with TP1.", "Sure."))

    assert not over.is_silent
    assert lines(over, Spending(usd_per_hour=4.0))[1:] == [
        "Serve with TP1.",
        "Sure.",
        "spent at most $2.00 in 30 min, at $4.00 an hour",
    ]


def test_a_run_that_failed_says_its_last_word() -> None:
    """Over without a verdict is a failure, and the last line names it."""
    failed = dataclasses.replace(RUNNING, is_over=True, lines=("the server of TP2 died",), written=NOW - 200)

    assert (
        lines(scene(failed), UNKNOWN)[1] == "The run is over without a verdict. Its last line: the server of TP2 died"
    )


SWEEP = Sweep(
    sweep="19700101T000000Z-aaaa",
    legs=(Leg(model="a/b", folder="b", state="ended"), Leg(model="a/c", folder="c", state="running")),
)


def test_a_sweep_says_which_model_has_its_turn() -> None:
    """Every model with its state, then the run of the one that is measured; money counts from the sweep's start."""
    progress = dataclasses.replace(RUNNING, started=3000.0)
    said = lines(scene(progress, sweep=SWEEP), Spending(usd_per_hour=4.0))

    assert said[0] == "2 models: a/b ended, a/c running"
    assert said[3] == "spent at most $4.00 in 60 min, at $4.00 an hour"


def test_a_report_that_is_being_written_is_waited_for() -> None:
    """Between the last turn and the verdict nobody is told that there is none."""
    ended = scene(dataclasses.replace(RUNNING, is_over=True))

    assert (ended.has_ended, ended.is_over, ended.is_silent) == (True, False, False)
    assert lines(ended, UNKNOWN)[1] == "The run has ended and its report is being written."


def test_a_sweep_is_over_with_its_last_model() -> None:
    """A model's own end is none."""
    over = dataclasses.replace(RUNNING, is_over=True)

    assert not scene(over, sweep=SWEEP).has_ended
    assert not scene(over, sweep=SWEEP, answers=("a/b: Serve with TP1.",)).is_over
    assert scene(over, sweep=SWEEP.changed(1, "failed", "it died"), answers=("a/b: Serve with TP1.",)).is_over
    assert lines(scene(None, sweep=SWEEP), UNKNOWN)[-1].startswith("The next model is about to begin in s3://b/")


@pytest.mark.parametrize("seconds", [0, 1, 60])
def test_a_log_has_no_line_that_only_the_clock_changed(seconds: int) -> None:
    """Where lines are not rewritten, one is written when something happened."""
    assert (
        brief(scene(now=NOW + seconds))
        == "Qwen/Qwen3-0.6B  blocks  block 9  settled; TP1/TP2 per core 1.39 (1.20 to 1.60)"
    )


def test_bars_of_a_run_under_way() -> None:
    """Money against the budget, time against the experiment's, and the precision that the widest interval has."""
    told = dataclasses.replace(look(9, 1.2, 1.6), resolution=0.05, spent_seconds=900.0, budget_seconds=3600.0)

    assert told.precision_share is not None
    assert told.precision_share == pytest.approx(0.05 / 0.1547, abs=1e-3)
    assert bars(scene(dataclasses.replace(RUNNING, looks=(told,))), SPENDING) == [
        Bar(label="spent", share=4.85 / 20, words="at most $4.85 of $20.00"),
        Bar(label="time", share=0.25, words="15 min of 60 min"),
        Bar(label="precision", share=told.precision_share, words="±15.5 %, goal ±5 %"),
    ]


def test_what_is_not_known_has_no_bar() -> None:
    """No price, no budget, an open interval, no look yet, and a run that has ended or is silent."""
    open_ended = dataclasses.replace(look(5, 0.0, 2.0), resolution=0.05)

    assert bars(scene(dataclasses.replace(RUNNING, looks=(open_ended,))), UNKNOWN) == []
    assert bars(scene(dataclasses.replace(RUNNING, looks=())), Spending(usd_per_hour=4.0)) == []
    assert bars(scene(None), SPENDING) == []
    assert bars(scene(dataclasses.replace(RUNNING, is_over=True)), SPENDING) == []
    assert bars(scene(dataclasses.replace(RUNNING, written=NOW - 600)), SPENDING) == []


def test_servers_that_were_stopped_are_told() -> None:
    """The guard's moment has passed, and the run has not ended: nobody reads a time that lies behind him."""
    late = dataclasses.replace(SPENDING, stops_at=dt.datetime.fromtimestamp(NOW - 60, dt.UTC))

    assert lines(scene(), late)[2].endswith("; servers were stopped at 00:59 UTC")


def test_a_scene_as_data() -> None:
    """Units in the keys, and None for what nobody knows."""
    data = as_data(scene(), UNKNOWN)

    assert data["ratios_per_core"] == [
        {"first": "TP1", "second": "TP2", "value": pytest.approx(1.3856, abs=1e-4), "low": 1.2, "high": 1.6}
    ]
    assert (data["stage"], data["detail"], data["blocks"], data["silent_seconds"]) == ("blocks", "block 9", 9, 20.0)
    assert (data["spent_usd_at_most"], data["budget_usd"], data["servers_stop_at"]) == (None, None, None)
    assert as_data(scene(), SPENDING)["servers_stop_at"] == "1970-01-01T01:30:00+00:00"
