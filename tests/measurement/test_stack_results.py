"""``fetch`` and ``receipt`` against S3 as moto plays it, and which stack they and ``watch`` mean."""

import collections.abc
import dataclasses
import json
import os
import pathlib

import boto3
import moto
import pytest

from optimal_tp.__main__ import main
from optimal_tp.measurement.node_bill import NodeSpan, Tariff, bill, receipt
from optimal_tp.settings.workload import Price

BUCKET, RUNS = "results", "s3://results/runs"
OLD, NEW = "20260701T120000Z-zzzz", "20260702T120000Z-aaaa"


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> collections.abc.Iterator[pathlib.Path]:
    """Run in an empty folder, with AWS played in this process and a Pulumi that knows the stack dev."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_PROFILE", "OPTIMAL_TP_STACK"):
        monkeypatch.delenv(name, raising=False)
    outputs = json.dumps({"results_uri": RUNS})
    script = tmp_path / "bin" / "pulumi"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\n"
        f"""[ "$*" = "stack output --json --non-interactive --stack dev" ] && echo '{outputs}' && exit\n"""
        """[ "$*" = "config --json --show-secrets --non-interactive --stack dev" ] && echo '{}' && exit\n"""
        "exit 255\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    monkeypatch.setattr("optimal_tp.settings.stack_config.COMMAND", str(script))
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    with moto.mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield tmp_path


def put(key: str, body: str = "{}") -> None:
    """Store an object below the runs."""
    boto3.client("s3").put_object(Bucket=BUCKET, Key=f"runs/{key}", Body=body.encode())


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what a command says that succeeds."""
    status = main([*words])
    out = capsys.readouterr()
    assert (status, out.err) == (0, "")
    return out.out


def refused(capsys: pytest.CaptureFixture[str], *words: str, status: int = 2) -> str:
    """Return the sentence of a command that is refused."""
    assert main([*words]) == status
    out = capsys.readouterr()
    assert out.out == ""
    return out.err


def files(folder: pathlib.Path) -> set[str]:
    """Return the files below ``folder``."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_all_runs_are_copied_once(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time only what has changed, be it as long as before."""
    put(f"{OLD}/run.json", "old")
    put(f"{NEW}/pod-0/run.json", "new")
    put("receipt.json", "paid")
    put("a-folder/", "")
    first = told(capsys, "fetch", "--results", RUNS)
    stamp = (folder / f"out/cluster/{OLD}/run.json").stat().st_mtime
    second = told(capsys, "fetch", "--results", RUNS)
    os.utime(folder / f"out/cluster/{OLD}/run.json", (stamp - 60, stamp - 60))  # it is newer in the bucket
    third = told(capsys, "fetch", "--results", RUNS)

    assert files(folder / "out/cluster") == {f"{OLD}/run.json", f"{NEW}/pod-0/run.json", "receipt.json"}
    assert (folder / f"out/cluster/{NEW}/pod-0/run.json").read_text() == "new"
    assert first == (
        "out/cluster: 2 runs with 3 files; copied 3 (0.0 MiB), 0 were here\n"
        f"next: optimal-tp report out/cluster/{NEW}\n"
    )
    assert "copied 0 (0.0 MiB), 3 were here" in second
    assert "copied 1 (0.0 MiB), 2 were here" in third


def test_one_run_is_copied(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Into the folder that is named; for programs as JSON."""
    put(f"{OLD}/run.json", "old")
    put(f"{NEW}/run.json", "new")
    said = json.loads(told(capsys, "fetch", OLD, "--results", RUNS, "--output", "here", "--json"))

    assert said == {
        "results": RUNS,
        "folder": "here",
        "runs": [OLD],
        "files": 1,
        "copied": 1,
        "copied_bytes": 3,
    }
    assert files(folder / "here") == {f"{OLD}/run.json"}


def test_nothing_leaves_the_folder(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever may write to the bucket may not write elsewhere on this machine."""
    put("../../evil.json")

    assert refused(capsys, "fetch", "--results", RUNS) == (
        "results: must hold names without empty, . or .. parts, which would leave the folder "
        "(got 's3://results/runs/../../evil.json')\n"
    )
    assert not (folder / "out").exists()


def test_what_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """No run at all, a run of another name, a bucket that is gone, no receipt."""
    assert refused(capsys, "fetch", "--results", RUNS) == (
        f"results: must hold a run (got '{RUNS}'); follow the first run with optimal-tp watch\n"
    )
    assert refused(capsys, "receipt", "--results", RUNS) == (
        f"receipt: must exist (got '{RUNS}/receipt.json'); wait: the load generator writes it with the verdict and "
        f"again "
        "when the nodes are gone\n"
    )
    put(f"{OLD}/run.json")
    assert refused(capsys, "fetch", NEW, "--results", RUNS) == (
        f"RUN: must be the name of a stored run (got '{NEW}'); runs there: {OLD}\n"
    )
    put("receipt.json", "[]")
    assert refused(capsys, "receipt", "--results", RUNS).startswith("receipt: must be a receipt: ")
    gone = "must be an existing bucket: it was deleted or belongs to another account"
    assert gone in refused(capsys, "fetch", "--results", "s3://elsewhere/runs")
    assert gone in refused(capsys, "receipt", "--results", "s3://elsewhere/runs")
    assert refused(capsys, "fetch", "--results", "out") == "--results: must be s3://bucket/prefix (got 'out')\n"


def test_a_disk_that_fails_is_said(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file stands where the folder should be."""
    put(f"{OLD}/run.json")
    (folder / "here").touch()

    said = refused(capsys, "fetch", "--results", RUNS, "--output", "here", status=5)
    assert said.endswith("cannot be written: Not a directory; name another folder with --output\n")


def test_the_newest_receipt_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """In words with a line per node, and as it is stored."""
    node = NodeSpan(
        name="neuron-a",
        instance_type="trn2.3xlarge",
        capacity_type="on-demand",
        launched="2026-07-01T09:00:00Z",
        seen="2026-07-01T10:00:00Z",
        gone="2026-07-01T10:00:00Z",
    )
    price = Price(usd_per_hour=2.25, source="a price list", date="2026-07-01", billed_cores=4)
    paid = receipt(
        [node],
        Tariff(price=price, idle_usd_per_hour=0.4),
        watched_from="2026-07-01T09:00:00Z",
        watched_until="2026-07-01T10:00:00Z",
        verdicts=1,
    )
    put("receipt.json", json.dumps(dataclasses.asdict(bill(paid))))
    said = told(capsys, "receipt", "--results", RUNS)

    assert said.startswith("1 x trn2.3xlarge, ")
    assert "$2.25 and about $0.40 for the cluster around them; $2.65 per verdict." in said
    assert said.endswith("\n  neuron-a  trn2.3xlarge  launched 2026-07-01T09:00:00Z, gone at 2026-07-01T10:00:00Z\n")
    assert json.loads(told(capsys, "receipt", "--results", RUNS, "--json"))["usd"] == 2.65


@pytest.mark.parametrize("command", [["fetch"], ["watch", "--once"]], ids=["fetch", "watch"])
def test_the_stack_is_named_or_that_of_the_environment(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outputs say where results are; without any name the way to one is said."""
    put(f"{OLD}/run.json")
    named = told(capsys, *command, "--stack", "dev")
    monkeypatch.setenv("OPTIMAL_TP_STACK", "dev")

    assert named
    assert told(capsys, *command)
    monkeypatch.delenv("OPTIMAL_TP_STACK")
    assert refused(capsys, *command).startswith(
        "--stack: must be set, unless OPTIMAL_TP_STACK or `pulumi stack select` names a stack"
    )
