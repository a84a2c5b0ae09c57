"""``watch`` against S3 and CloudWatch as moto plays them: what it finds, and a sentence for each fault."""

import argparse
import collections.abc
import dataclasses
import datetime as dt
import io
import json
import pathlib
import time
import typing

import boto3
import botocore.exceptions
import moto
import pytest
from rich.console import Console

from optimal_tp.__main__ import main
from optimal_tp.cli import watch as watch_command
from optimal_tp.cli.stack.results import outputs_of
from optimal_tp.cli.terminal import output
from optimal_tp.cli.watch import Screen, configure, follow, spending_of
from optimal_tp.errors import Interrupted, SettingsError
from optimal_tp.measurement.metrics import NAMESPACE
from optimal_tp.measurement.progress import encode_progress
from optimal_tp.measurement.sweep import Leg, Sweep, encode_sweep
from optimal_tp.report import files
from optimal_tp.telemetry.lines import UNKNOWN, Spending
from optimal_tp.telemetry.snapshot import Sight, Snapshot
from tests.fakes_candidates import TP2
from tests.fakes_run import planted_run, store
from tests.fakes_watch import PROGRESS, look

BUCKET, RUNS = "results", "s3://results/runs"
OLD, NEW = "20260701T120000Z-zzzz", "20260702T120000Z-aaaa"


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> collections.abc.Iterator[None]:
    """Play AWS in this process, with a bucket and credentials of its own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with moto.mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield


def watch(words: list[str]) -> int:
    """Run the command as the program does, but let what it raises through."""
    parser = argparse.ArgumentParser()
    configure(parser)
    output.configure(parser)
    return watch_command.main(parser.parse_args(words))


def put(key: str, body: bytes | str) -> None:
    """Store an object below the runs."""
    boto3.client("s3").put_object(Bucket=BUCKET, Key=f"runs/{key}", Body=body)


def running(**changes: typing.Any) -> bytes:
    """Return a progress that was written just now."""
    now = time.time()
    base = dataclasses.replace(
        PROGRESS,
        started=now - 600,
        stage="blocks",
        stage_started=now - 60,
        detail="block 9",
        written=now,
        region="us-east-1",
        looks=(look(5, 0.9, 2.0), look(9, 1.2, 1.6)),
    )
    return encode_progress(dataclasses.replace(base, **changes))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what one look at the bucket says."""
    assert watch(["--results", RUNS, "--once", *words]) == 0
    return capsys.readouterr().out


def test_the_newest_run_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    """By the time in its name, whatever else lies beside it."""
    put(f"{OLD}/progress.json", running(model="old/model"))
    put(f"{NEW}/progress.json", running(model="new/model"))
    put("notes/progress.json", running(model="no/run"))

    assert said(capsys) == "new/model  blocks  block 9  settled; TP1/TP2 per core 1.39 (1.20 to 1.60)\n"


def test_a_terminal_shows_all_of_it() -> None:
    """The last values of CloudWatch are among the lines."""
    put(f"{NEW}/progress.json", running())
    boto3.client("cloudwatch").put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[
            {
                "MetricName": "OutputTokensPerSecondPerCore",
                "Dimensions": [{"Name": "Model", "Value": "TP2"}],
                "Timestamp": dt.datetime.now(dt.UTC) - dt.timedelta(minutes=2),
                "Value": 98.25,
            }
        ],
    )
    sight = Sight(RUNS, boto3.client("s3"), lambda region: boto3.client("cloudwatch", region_name=region))

    assert sight.look(time.time()).values == {"OutputTokensPerSecondPerCore": {TP2: 98.25}}


def test_whoever_brings_the_servers_up_is_followed_until_the_load(capsys: pytest.CaptureFixture[str]) -> None:
    """Of several load generators the first one tells from its beginning on; before it the conductor does."""
    stage = {"stage": "compiling TP1 and TP2", "detail": "TP1 waits for a node; TP2 compiles", "looks": ()}
    put(f"{NEW}/progress.json", running(**stage))
    before = said(capsys)
    put(f"{NEW}/pod-0/progress.json", running())

    assert before == "Qwen/Qwen3-0.6B  compiling TP1 and TP2  TP1 waits for a node; TP2 compiles\n"
    assert said(capsys).startswith("Qwen/Qwen3-0.6B  blocks  block 9")


def test_the_model_that_has_its_turn_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    """Its run lies below the sweep's name; its metrics have the model's title before the degree."""
    legs = (Leg(model="a/b", folder="b", state="ended"), Leg(model="a/c", folder="c", state="running"))
    put(f"{NEW}/sweep.json", encode_sweep(Sweep(sweep=NEW, legs=legs)))
    put(f"{NEW}/b/progress.json", running(model="a/b", is_over=True))
    put(f"{NEW}/c/progress.json", running(model="a/c", model_title="c"))

    assert said(capsys) == "a/c  blocks  block 9  settled; TP1/TP2 per core 1.39 (1.20 to 1.60)\n"


def test_a_run_that_several_pods_share_is_followed_by_its_first(capsys: pytest.CaptureFixture[str]) -> None:
    """All take the same turns, and the answer lies beside their folders."""
    put(f"{NEW}/pod-0/progress.json", running(is_over=True))
    put(f"{NEW}/pod-1/progress.json", running(model="another/pod"))
    put(f"{NEW}/verdict.json", json.dumps({"claims": [{"sentence": "The answer."}]}))

    assert said(capsys).splitlines()[:2] == [f"Qwen/Qwen3-0.6B  {RUNS}/{NEW}", "The answer."]


def test_a_run_that_is_over_tells_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """The first lines of the report, from the bucket."""
    put(f"{NEW}/progress.json", running(is_over=True))
    put(f"{NEW}/verdict.json", json.dumps({"claims": [{"sentence": f"Sentence {number}."} for number in range(5)]}))

    assert said(capsys).splitlines()[1:4] == ["Sentence 0.", "Sentence 1.", "Sentence 2."]


def test_the_report_is_the_last_word(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever watched to the end has the verdict before him and the report on his machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "plots", lambda _analysis: ())
    folder = store(tmp_path / "b", *planted_run())
    for name in ("run.json", "samples.jsonl"):
        put(f"{NEW}/{name}", (folder / name).read_bytes())
    put(f"{NEW}/progress.json", running(is_over=True))
    put(f"{NEW}/verdict.json", json.dumps({"claims": [{"sentence": "The answer."}]}))

    assert watch(["--results", RUNS]) == 0
    told = capsys.readouterr().out
    assert told.index("The answer.") < told.index("Report: ")
    assert list(tmp_path.glob("out/*/report.html"))


def test_changes_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, nothing else."""
    put(f"{NEW}/progress.json", running())
    (line,) = said(capsys, "--json").splitlines()

    assert json.loads(line)["place"] == f"{RUNS}/{NEW}"
    assert json.loads(line)["blocks"] == 9


def test_json_is_asked_for_before_the_name_too(capsys: pytest.CaptureFixture[str]) -> None:
    """As of every command."""
    put(f"{NEW}/progress.json", running())

    assert main(["--json", "watch", "--results", RUNS, "--once"]) == 0
    assert json.loads(capsys.readouterr().out)["blocks"] == 9


def test_no_run_yet(capsys: pytest.CaptureFixture[str]) -> None:
    """Also with other things in the bucket."""
    put("notes/progress.json", running())

    assert said(capsys).startswith("No run yet in s3://results/runs: the load generator writes there as soon as")


def test_a_silent_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing for ten minutes is told as that."""
    put(f"{NEW}/progress.json", running(written=time.time() - 600))

    assert "The load generator has been silent for 10 min: it is gone or cannot reach the bucket" in said(capsys)


def test_a_bucket_that_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence and exit status 2."""
    assert main(["watch", "--results", "s3://gone/runs"]) == 2
    assert capsys.readouterr().err == (
        "results: must be an existing bucket: it was deleted or belongs to another account "
        "(got 's3://gone/runs'); check the "
        "name, the account and its region; `pulumi stack output results_uri` prints the place\n"
    )


class Failing:
    """A sight that fails as it was told, then sees what it was told."""

    def __init__(self, *looks: Exception | Snapshot) -> None:
        self.looks = list(looks)

    def look(self, now: float) -> Snapshot:
        """Return or raise the next one."""
        assert now >= 0
        found = self.looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def scene(**changes: typing.Any) -> Snapshot:
    """Return a run under way."""
    progress = dataclasses.replace(PROGRESS, **changes)
    return Snapshot(place=RUNS, progress=progress, sweep=None, answers=("The answer.",), now=1.0, values={})


def followed(*looks: Exception | Snapshot) -> tuple[Snapshot, str]:
    """Follow ``looks`` without waiting; return the last one and what a log would have."""
    console = Console(record=True, width=400, file=io.StringIO())
    sight = typing.cast("Sight", Failing(*looks))
    waits: list[float] = []
    with Screen(console, UNKNOWN) as screen:
        last = follow(sight, RUNS, screen, every_seconds=15, sleep=waits.append, clock=lambda: 1.0)
    assert waits == [15.0] * (len(looks) - 1)
    return last, console.export_text()


def refusal(code: str) -> Exception:
    """Return what boto3 raises for an error code of S3."""
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": "m"}}, "GetObject")


def test_it_is_followed_until_it_is_over() -> None:
    """Each change is a line; a look that shows nothing new is none; the end is the answer."""
    last, text = followed(scene(stage="warm-up"), scene(stage="warm-up"), scene(stage="blocks"), scene(is_over=True))

    assert last.is_over
    assert text.splitlines()[:2] == ["Qwen/Qwen3-0.6B  warm-up", "Qwen/Qwen3-0.6B  blocks"]
    assert "The answer." in text


def test_a_hiccup_is_no_end() -> None:
    """AWS that does not answer once is tried again."""
    last, text = followed(scene(), refusal("SlowDown"), scene(is_over=True))

    assert last.is_over
    assert "AWS does not answer at the moment (An error occurred (SlowDown)" in text


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            botocore.exceptions.NoCredentialsError(),
            (
                "results: must be read with AWS credentials, but none are set here (got 's3://results/runs'); log in "
                "or set "
                "AWS_PROFILE"
            ),
        ),
        (
            refusal("ExpiredToken"),
            (
                "results: must be read with valid credentials; these have expired (got 's3://results/runs'); check the "
                "name, the account "
                "and its region; "
                "`pulumi stack output results_uri` prints the place"
            ),
        ),
        (
            refusal("NoSuchBucket"),
            (
                "results: must be an existing bucket: it was deleted or belongs to another account "
                "(got 's3://results/runs'); "
                "check the name, the account and its region; `pulumi stack output results_uri` prints the place"
            ),
        ),
    ],
    ids=["no credentials", "expired", "bucket gone"],
)
def test_what_no_waiting_mends_ends_the_watching(error: Exception, sentence: str) -> None:
    """Also in the middle of a run, each with its whole sentence."""
    with pytest.raises(SettingsError) as caught:
        followed(scene(), error)

    assert str(caught.value) == sentence


def test_ctrl_c_ends_the_watching_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that the run goes on, and nothing in the bucket has changed."""
    put(f"{NEW}/progress.json", running())
    before = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(follow, "__kwdefaults__", {**(follow.__kwdefaults__ or {}), "sleep": interrupted})
    with pytest.raises(Interrupted, match=r"^stopped watching; the run continues$"):
        watch(["--results", RUNS])
    assert boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"] == before


def pulumi(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a ``pulumi`` on the path that does what ``script`` says."""
    path = folder / "pulumi"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_stacks_outputs_say_where_and_how_dear(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack that was named is the one that is asked."""
    outputs = {"results_uri": RUNS, "usd_per_hour": 4.85, "budget_usd": 20}
    known = Spending(usd_per_hour=4.85, budget_usd=20)
    for said, stops_at in (
        ("2026-07-01T15:48:00+00:00", dt.datetime(2026, 7, 1, 15, 48, tzinfo=dt.UTC)),
        ("never: spend.keep_running", None),
    ):
        text = json.dumps({**outputs, "servers_stop_at": said})
        pulumi(
            tmp_path,
            monkeypatch,
            f"""[ "$*" = "stack output --json --non-interactive --stack dev" ] && echo '{text}'""",
        )

        assert spending_of(outputs_of("dev")) == dataclasses.replace(known, stops_at=stops_at)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "echo 'error: no stack named' >&2; exit 255",
            (
                "--stack: must be a stack whose outputs can be read, but pulumi said: error: no stack named "
                "(got 'dev'); run it in the project's folder or name the bucket with --results s3://bucket/prefix"
            ),
        ),
        (
            "echo '{}'",
            (
                "--stack: must have the output results_uri, which a finished `pulumi up` leaves (got 'dev'); "
                "run pulumi up or run it in the project's folder or name the bucket with --results s3://bucket/prefix"
            ),
        ),
        (
            "echo nonsense",
            (
                "--stack: must be a stack whose outputs can be read, but the pulumi command did not print a JSON "
                "object (got 'dev'); run it in the project's folder or name the bucket with --results s3://bucket/prefix"
            ),
        ),
    ],
    ids=["no stack", "not up", "no JSON"],
)
def test_a_stack_that_tells_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str, sentence: str
) -> None:
    """Pulumi's own words are in the sentence, and the way around it."""
    pulumi(tmp_path, monkeypatch, script)

    with pytest.raises(SettingsError) as caught:
        outputs_of("dev")
    assert str(caught.value) == sentence


def test_without_pulumi(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that is missing is named."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SettingsError) as caught:
        outputs_of("dev")
    assert str(caught.value) == (
        "--stack: must be a stack whose outputs can be read, but there is no pulumi command on PATH (got 'dev'); "
        "install Pulumi (https://www.pulumi.com/docs/iac/download-install) or name the bucket with --results "
        "s3://bucket/prefix"
    )


def test_results_are_in_a_bucket(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder is read by the report, not watched."""
    assert main(["watch", "--results", "out"]) == 2
    assert capsys.readouterr().err == "--results: must be s3://bucket/prefix (got 'out')\n"


def test_a_sweep_is_judged_from_the_bucket(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a folder; its report comes into ``out`` on this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "plots", lambda _analysis: ())
    folder = store(tmp_path / "b", *planted_run())
    for name in ("run.json", "samples.jsonl"):
        put(f"{NEW}/b/{name}", (folder / name).read_bytes())
    legs = (Leg(model="a/b", folder="b", state="ended"), Leg(model="a/c", folder="c", state="failed", sentence="died"))
    put(f"{NEW}/sweep.json", encode_sweep(Sweep(sweep=NEW, legs=legs)))

    assert main(["report", f"{RUNS}/{NEW}"]) == 5
    assert "\n# Serve a/b with TP1; not measured: a/c.\n" in (tmp_path / "out" / NEW / "report.md").read_text()
    assert (tmp_path / "out" / NEW / "b" / "verdict.json").is_file()
