"""A run survives the death of its process: what was measured stands, what was not is measured, in the same order."""

import collections.abc
import dataclasses
import json
import pathlib
import shutil
import typing

import boto3
import moto
import pytest

from optimal_tp.errors import ResumeFailed, StorageFailed
from optimal_tp.measurement.run import RunRecord
from optimal_tp.results.folder import Bucket
from optimal_tp.results.restoration import restored
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import read
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_candidates import TP1, TP2
from tests.fakes_lives import DECISION, GAP_SECONDS, World, asked, edited, planted_world, whole
from tests.fakes_run import settings, total_limit


@pytest.fixture(params=["within limits", "without limits"])
def world(request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world in which TP2 is the better one."""
    limits = total_limit(500, 75) if request.param == "within limits" else {}
    found = planted_world(tmp_path / "run", limits)
    found.install(monkeypatch)
    return found


_SMOOTH: dict[str, tuple[RunRecord, str | None]] = {}
"""Runs that nothing ends, by their settings."""


def uninterrupted(world: World) -> tuple[RunRecord, str | None]:
    """Return the run that nothing ends, and its choice."""
    plan = world.settings.model_dump_json()
    if plan not in _SMOOTH:
        alone = dataclasses.replace(
            world, folder=world.folder.with_name("alone"), asked=[], prompts=[], handed=[], said=[], lives=0
        )
        with pytest.MonkeyPatch.context() as patched:
            alone.install(patched)
            record = alone.live()
        assert record is not None
        _SMOOTH[plan] = record, retry(read(str(alone.folder))).verdict.chosen
    return _SMOOTH[plan]


def check_whole(world: World, record: RunRecord) -> None:
    """Hold ``record``, of a run with deaths, against one without, and its samples against what was handed over."""
    smooth, chosen = uninterrupted(world)
    found = read(str(world.folder))
    verdict = retry(found).verdict

    assert [asked(turn) for turn in whole(record)] == [asked(turn) for turn in smooth.turns]
    assert record.ending == smooth.ending == "settled"
    assert (verdict.outcome, verdict.chosen) == ("settled", chosen)
    # Every sample that was handed over is kept once, those of turns that were cut short under a name of their own.
    assert len(found.samples) == len(world.handed) == sum(turn.requests for turn in record.turns)
    assert [sample.end_seconds for sample in found.samples] == [sample.end_seconds for sample in world.handed]
    assert found.notes == ()
    starts = [turn.start_seconds for turn in record.turns]
    assert starts == sorted(starts)
    assert len(set(world.prompts)) == len(world.prompts)


def test_a_process_that_dies_after_every_turn_measures_none_twice(world: World) -> None:
    """Each process takes one turn and dies before the next one's first sample; all of them together make the run."""
    record = None
    while record is None:
        record = world.live(dies=(1, 0.0))

    check_whole(world, record)
    assert not [turn for turn in record.turns if turn.stage == "cut"]
    assert world.lives == len(record.turns)
    taken = [stretch for stretch in world.asked if stretch.stage != "cut"]
    assert len(taken) == 2 * len(record.turns) - 1  # each but the first was asked for, and again by the next process
    assert record.elapsed_seconds > (world.lives - 1) * GAP_SECONDS


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0], ids=["its first sample", "the middle", "its last sample"])
def test_a_turn_in_whose_middle_a_process_dies_is_kept_and_taken_again(world: World, share: float) -> None:
    """Every turn of the run meets it once, also where all its samples are there and only its line is not."""
    record = world.live(dies=(0, share))
    while record is None:
        record = world.live(dies=(1, share))  # it takes the turn that was cut short, and dies in the next one

    check_whole(world, record)
    cut = [turn for turn in record.turns if turn.stage == "cut"]
    assert len(cut) == len(whole(record))
    assert all(turn.cut_short and turn.asked_seconds is None for turn in cut)


def test_a_process_that_dies_again_and_again_in_one_turn_loses_nothing(world: World) -> None:
    """Three times the same turn."""
    world.live(dies=(5, 0.5))
    world.live(dies=(0, 0.3))
    world.live(dies=(0, 0.6))
    record = world.live()

    assert record is not None
    check_whole(world, record)
    assert len([turn for turn in record.turns if turn.stage == "cut"]) == 3


@pytest.mark.parametrize("budget", [3_000, 6_000, 9_000])
def test_the_time_of_the_gap_counts(world: World, budget: float) -> None:
    """The budget ends the run as if the process had lived, and who goes on decides as who died."""
    decision = DECISION | {"budget_seconds": budget, "minimum_blocks": 8}
    section = {**world.settings.model_dump(exclude_unset=True), "decision": decision}
    world.settings = parse_workloads(section, file="test")
    record = None
    while record is None:
        record = world.live(dies=(1, 0.0))

    assert record.ending == "budget"
    assert budget <= record.elapsed_seconds + GAP_SECONDS
    assert not [line for line in world.said if "another release" in line]


def test_a_file_that_ends_in_the_middle_of_a_sample_is_made_whole(world: World) -> None:
    """What the kernel had of the last one is left out; the samples before it stand, and so do those that follow."""
    world.live(dies=(7, 0.5))
    (last,) = sorted(world.folder.glob("samples-*.jsonl"))[-1:]
    last.write_bytes(last.read_bytes() + b'{"stage":"rising","degree":1,"blo\xc3')
    with (world.folder / "turns.jsonl").open("a") as log:
        log.write('[9, {"stage"')
    record = world.live()

    assert record is not None
    check_whole(world, record)


def test_samples_that_are_missing_are_measured_again(world: World) -> None:
    """A record is never believed beyond its samples."""
    world.live(dies=(9, 0.0))
    (last,) = sorted(world.folder.glob("samples-*.jsonl"))[-1:]
    lines = last.read_text().splitlines(keepends=True)
    last.write_text("".join(lines[:-1]))
    record = world.live()
    smooth, _ = uninterrupted(world)

    assert record is not None
    assert [asked(turn) for turn in whole(record)] == [asked(turn) for turn in smooth.turns]
    assert len([turn for turn in record.turns if turn.stage == "cut"]) == 1


def test_a_lost_part_cannot_be_gone_on_with(world: World) -> None:
    """Samples of another turn are never taken for a turn's own."""
    world.live(dies=(12, 0.0))
    (world.folder / "samples-0000.jsonl").unlink()

    with pytest.raises(
        ResumeFailed,
        match=r"its samples belong to another turn, so a file is missing; a new run begins$",
    ):
        world.live()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pins": {"code": "another"}}, "run test began with other pin code: its measurements are kept"),
        ({"rounds": ((TP1,), (TP2,))}, "run test began with other rounds of servers: its measurements are kept"),
        (
            {"settings": parse_workloads(settings(degrees=[1, 2]), file="test")},
            "run test began with other settings",
        ),
    ],
    ids=["pins", "rounds", "settings"],
)
def test_another_run_is_not_gone_on_with(world: World, change: dict[str, typing.Any], sentence: str) -> None:
    """It says what differs."""
    world.live(dies=(3, 0.0))
    for name, value in change.items():
        setattr(world, name, value)

    with pytest.raises(ResumeFailed, match=f"^{sentence}"):
        world.live()


def test_a_turn_that_another_release_took_is_not_mixed_with_ours(world: World) -> None:
    """Both turns are in the sentence, and no server is asked for anything."""
    world.live(dies=(12, 0.0))
    record = json.loads((world.folder / "run.json").read_text())
    for turn in record["turns"]:
        turn["server_start"] = 7
    edited(world.folder, turns=record["turns"])
    before = len(world.asked)

    with pytest.raises(
        ResumeFailed, match=r"^the recorded turn \(warm_up, TP1, .*server start 7\) must match the one due now "
    ):
        world.live()
    assert len(world.asked) == before


def test_a_record_of_a_newer_release_is_not_gone_on_with(world: World) -> None:
    """It is said, and its folder is left alone."""
    world.live(dies=(3, 0.0))
    edited(world.folder, schema_version=99)

    with pytest.raises(ResumeFailed, match=r"run\.json does not hold a run that this release can continue "):
        world.live()


def test_a_run_that_was_interrupted_goes_on(world: World) -> None:
    """A pod that is evicted ends its run in good order; the turn that was cut short then is taken again."""
    world.live(dies=(6, 0.5))
    kept = restored(world.folder, None)
    assert kept is not None
    edited(world.folder, ending="interrupted", ending_detail="SIGTERM ended the run")
    record = world.live()

    assert record is not None
    check_whole(world, record)
    assert record.ending_detail is None


def test_a_run_that_has_ended_is_not_measured_again(world: World) -> None:
    """Between the end of its record and its verdict a process may die too."""
    first = world.live()
    before = len(world.asked)
    second = world.live()

    assert first == second
    assert len(world.asked) == before


class Sent:
    """CloudWatch, as far as it counts."""

    def __init__(self) -> None:
        self.succeeded = 0.0

    def put_metric_data(self, **given: typing.Any) -> None:
        """Count the requests that a datum stands for."""
        for datum in given["MetricData"]:
            if datum["MetricName"] == "TotalLatency_ms":
                self.succeeded += sum(datum["Counts"])


def test_metrics_are_not_published_twice(world: World) -> None:
    """Turns that are handed out again are not measured again: their requests are counted once."""
    world.cloudwatch = Sent()
    world.live(dies=(9, 0.5))
    assert world.cloudwatch.succeeded == len(world.handed) > 0
    world.live()

    assert world.cloudwatch.succeeded == len(world.handed)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> collections.abc.Iterator[Bucket]:
    """Yield a prefix of a bucket in moto's S3."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with moto.mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="results")
        yield Bucket(client, "results", "runs/test")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_pod_on_another_node_goes_on_from_the_bucket(world: World, bucket: Bucket, share: float) -> None:
    """Its folder is empty: turns that the bucket had not yet are taken again, the others are not."""
    world.bucket = bucket
    taken = 2
    record = None
    while record is None:
        taken += 1
        record = world.live(dies=(taken, share))
        if record is None:
            shutil.rmtree(world.folder)
    smooth, _ = uninterrupted(dataclasses.replace(world, bucket=None))
    again = read(bucket.uri, bucket._client)

    assert [asked(turn) for turn in whole(record)] == [asked(turn) for turn in smooth.turns]
    assert again.record.turns == record.turns
    assert len(again.samples) == sum(turn.requests for turn in record.turns)
    assert len(world.asked) < 3 * len(record.turns)


def test_a_bucket_that_does_not_answer_is_tried_again_by_the_next_process(world: World, bucket: Bucket) -> None:
    """A new run would be paid twice: the process ends, and whoever started it starts another."""
    world.bucket = Bucket(bucket._client, "gone", "runs/test")
    with pytest.raises(StorageFailed, match=r"^the stored part of the run in s3://gone/runs/test cannot be read \("):
        restored(world.folder.parent, world.bucket)
