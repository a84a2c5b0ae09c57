"""A load generator that is killed by SIGKILL in the middle of its run: the next one ends the same run."""

import collections.abc
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import typing

import boto3
import pytest
from moto.server import ThreadedMotoServer

from optimal_tp.measurement.turns import Turn, key
from optimal_tp.results.source import read
from tests.fakes_killed import BUCKET, PREFIX
from tests.fakes_server import Script, ScriptedServer
from tests.measurement.test_sweep_command import SETTINGS

ROOT = pathlib.Path(__file__).parents[2]
WAIT_SECONDS = 100.0
CONTINUES = "continues after"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> collections.abc.Iterator[None]:
    """Have S3 on loopback, for this process and its children."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "loopback")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "loopback")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    yield
    server.stop()


def started(folder: pathlib.Path) -> "subprocess.Popen[bytes]":
    """Start a load generator whose results are in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fakes_killed", str(folder / "order.json")],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )


def kept(folder: pathlib.Path) -> list[Turn]:
    """Return the whole turns that are on the disk now; none before there is a record."""
    for path in folder.glob("2*/run.json"):
        return [turn for turn in read(str(path.parent)).record.turns if turn.stage != "cut"]
    return []


def killed(folder: pathlib.Path, turns: int, *, continued: int) -> list[Turn]:
    """Have a load generator go on until there are ``turns``, kill it a moment later, and return those there are.

    ``continued``: how often the log says by then that the run continues; a copy from the bucket has its turns before.
    """
    process = started(folder)
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        while len(kept(folder)) < turns or (folder / "log").read_text().count(CONTINUES) < continued:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        time.sleep(0.04)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return kept(folder)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("s3")
def test_a_run_that_is_killed_again_and_again_ends_as_one(tmp_path: pathlib.Path) -> None:
    """One folder, each turn measured whole once, no sample lost; once on another node, with the bucket alone."""
    targets = {}
    with ScriptedServer(_script(0.004)) as one, ScriptedServer(_script(0.006)) as two:
        targets = {"1": [one.url], "2": [two.url]}
        settings = {name: value for name, value in SETTINGS.items() if name != "models"}
        settings["model"] = {"name": "me/small", "revision": "none"}
        # The time between two processes counts, and on a busy machine it is long.
        settings["decision"] = typing.cast("dict[str, object]", settings["decision"]) | {"budget_seconds": 600}
        model = {"settings": settings, "targets": targets}
        (tmp_path / "order.json").write_text(json.dumps({"models": [model], "results": f"s3://{BUCKET}/{PREFIX}"}))
        for times, turns in enumerate((1, 4, 7)):
            before = killed(tmp_path, turns, continued=times)
        (folder,) = tmp_path.glob("2*")
        shutil.rmtree(folder)
        moved = killed(tmp_path, len(before) - 2, continued=3)
        process = started(tmp_path)
        assert process.wait(WAIT_SECONDS) in (0, 3, 4), (tmp_path / "log").read_text()
    found = read(str(folder))
    whole = [turn for turn in found.record.turns if turn.stage != "cut"]
    memory = json.loads(
        boto3.client("s3").get_object(Bucket=BUCKET, Key=f"{PREFIX}/memory/loadgen-7d9f.json")["Body"].read()
    )

    assert [path.name for path in tmp_path.glob("2*")] == [folder.name]
    assert (memory["run"], memory["finished"]) == (folder.name, True)
    assert found.record.ending in ("settled", "blocks", "budget")
    assert whole[: len(moved)] == moved
    assert len({key(turn) for turn in whole}) == len(whole)
    assert len(found.samples) == sum(turn.requests for turn in found.record.turns)
    assert found.notes == ()
    assert (folder / "verdict.json").exists()
    assert not (folder / "turns.jsonl").exists()
    assert (tmp_path / "log").read_text().count(f"{folder.name} {CONTINUES}") == 4


def _script(token_seconds: float) -> Script:
    return Script(model="me/small", ttft_seconds=token_seconds, gap_seconds=token_seconds, slots=1)
