"""The load command as people run it: a process, its files, its exit status."""

import asyncio
import json
import os
import pathlib
import random
import re
import resource
import signal
import subprocess
import sys
import time
import typing
import urllib.request

import pytest

from optimal_tp.cli.load import first_models
from optimal_tp.errors import Exit, OptimalTpError, ServerFailed
from optimal_tp.loadgen.calls import Server
from tests.fakes_samples import read_samples, whole
from tests.fakes_server import Script, ScriptedServer

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> typing.Iterator[ScriptedServer]:
    """Return a server with 5 ms to the first token and 1 ms between."""
    with ScriptedServer(Script(ttft_seconds=0.005, gap_seconds=0.001), process=True) as made:
        yield made


def command(url: str, output: pathlib.Path, *words: str) -> list[str]:
    """Return the command line of a load."""
    fixed = ["load", url, "--output", str(output), "--stream", "--max-tokens", "4"]
    return [sys.executable, "-m", "optimal_tp", *fixed, *words]


def run(
    url: str, output: pathlib.Path, *words: str, limited: typing.Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a load to its end, in a process that ``limited`` has given bounds of the system's."""
    return subprocess.run(
        command(url, output, *words),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=30,
        preexec_fn=limited,
    )


def test_a_load_without_output_prints_a_summary_and_keeps_its_files(
    server: ScriptedServer, tmp_path: pathlib.Path
) -> None:
    """In a new folder under out/, which the last line names."""
    words = ["load", server.url, "--requests", "5", "--stream", "--max-tokens", "4"]
    ended = subprocess.run(
        [sys.executable, "-m", "optimal_tp", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=30,
    )
    (file,) = tmp_path.glob("out/load-*/load.json")
    record = json.loads(file.read_text())

    assert (ended.returncode, ended.stderr) == (0 if record["audit"]["valid"] else 4, "")
    assert ended.stdout.startswith("requests   5 ok, 0 failed in ")
    assert ended.stdout.splitlines()[-1].split()[1] == f"{file.relative_to(tmp_path)},"
    assert len(read_samples(file.parent / "load.samples.jsonl")) == 5


def test_a_load_ends_with_a_result_and_every_sample(server: ScriptedServer, tmp_path: pathlib.Path) -> None:
    """The result has everything that docs/reference/load-json.md lists, and the samples are as many as it says."""
    output = tmp_path / "r.json"
    ended = run(server.url, output, "--concurrency", "3", "--requests", "30", "--limit-ms", "20000")
    record = json.loads(output.read_text())
    samples = read_samples(tmp_path / "r.samples.jsonl")
    documented = (ROOT / "docs/reference/load-json.md").read_text()

    assert (ended.returncode, ended.stderr) == (0 if record["audit"]["valid"] else 4, "")
    assert record["requests"] == {"intended": 30, "sent": 30, "ok": 30, "failed": 0}
    assert record["tokens"]["output"] == 120
    assert record["total_latency_ms"]["p50"] > 7.5
    assert record["audit"]["valid"] == (record["audit"]["reasons"] == [])
    assert len(samples) == 30
    # Linux begins to stamp a moment after the first socket asks (a work queue), so the first reads may lack theirs.
    assert 0.9 < record["client"]["kernel_stamped_share"] <= 1
    assert ended.stdout.startswith("requests   30 ok, 0 failed in ")
    assert all(f"`{key}`" in documented for key in _keys(record))


def test_what_the_server_counted_is_said_where_it_matters(tmp_path: pathlib.Path) -> None:
    """Its counters are in the result; prefix-cache hits and preemptions are lines of their own and void nothing."""
    output = tmp_path / "r.json"
    with ScriptedServer(Script(metrics="new", gap_seconds=0.01, prefix_hits=4, preempted_every=3)) as server:
        ended = run(server.url, output, "--requests", "7")
    record = json.loads(output.read_text())

    assert record["servers"][0]["counted"]["generation_tokens"] == 28
    preempted, hits = record["server_remarks"]
    prompt = record["tokens"]["prompt"]
    assert preempted == (
        "the server ran out of KV cache 2 times and recomputed a request (preemption): allow fewer requests at a time "
        "or give the KV cache more memory"
    )
    assert hits == (
        f"the server took 28 of {prompt} prompt tokens ({2800 / prompt:.3g} %) from the prefix cache, though no two "
        "prompts are alike: an earlier load sent them too"
    )
    assert f"\nserver     {preempted}\n" in ended.stdout
    assert not [reason for reason in record["audit"]["reasons"] if "server" in reason]


def test_first_tokens_that_came_with_others_are_told(tmp_path: pathlib.Path) -> None:
    """A server that sends an answer in one piece: when its first token came alone is not known, and that is said."""
    output = tmp_path / "r.json"
    with ScriptedServer() as at_once:
        ended = run(at_once.url, output, "--requests", "3")

    assert json.loads(output.read_text())["client"]["first_token_merged_share"] == 1
    assert (
        "merged     100 % of first tokens came in one read with the next: their TTFT is exact or late" in ended.stdout
    )


def test_a_trace_is_replayed_and_what_it_covers_is_said(tmp_path: pathlib.Path) -> None:
    """Sizes as recorded, at another rate, by chat; the longer one than the server holds is left out and counted."""
    rows = ["0,3,2", "1,9,5", "2,4000,200", "3,4,3"]
    (tmp_path / "trace.csv").write_text("seconds,prompt_tokens,output_tokens\n" + "\n".join(rows) + "\n")
    words = ["--mode", "trace", "--trace", str(tmp_path / "trace.csv"), "--rate", "50", "--api", "chat"]
    with ScriptedServer(Script(chat_only=True), process=True) as server:
        fixed = ["load", server.url, "--output", str(tmp_path / "r.json"), "--stream"]
        ended = subprocess.run(
            [sys.executable, "-m", "optimal_tp", *fixed, *words, "--limit-ms", "20000"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=30,
        )
    record = json.loads((tmp_path / "r.json").read_text())
    samples = sorted(read_samples(tmp_path / "r.samples.jsonl"), key=lambda sample: sample.request)
    documented = (ROOT / "docs/reference/load-json.md").read_text()

    assert (ended.returncode, ended.stderr) == (0, "")
    assert [(sample.prompt_tokens, sample.output_tokens) for sample in samples] == [(8, 2), (9, 5), (8, 3)]
    assert record["load"]["arrivals"] == {"kind": "replay", "requests": 3, "stretched_to_per_second": 50}
    assert record["load"]["trace"]["too_long"] == 1
    assert (
        "trace      3 of 4 requests (75 %) can be sent; left out: 1 longer than the server's model le" in ended.stdout
    )
    assert all(f"`{key}`" in documented for key in _keys(record))


def test_answers_without_a_stream_void_a_load_that_asked_for_one(tmp_path: pathlib.Path) -> None:
    """Of one JSON nobody knows when its first token came."""
    with ScriptedServer(Script(streams=False), process=True) as server:
        ended = run(server.url, tmp_path / "r.json", "--requests", "3", "--limit-ms", "20000")

    assert ended.returncode == 4
    assert "3 of 3 answers brought no token in a stream, which --stream asked for" in ended.stdout


def test_why_a_part_of_the_requests_failed_is_said(tmp_path: pathlib.Path) -> None:
    """A load that succeeded in part ends well, and says what the others were told."""
    with ScriptedServer(Script(fault="http_429", fault_every=3, retry_after_seconds=None), process=True) as server:
        ended = run(server.url, tmp_path / "r.json", "--requests", "6", "--limit-ms", "20000")

    assert 'failed     the first: HTTP status 429, retry after 1 s: {"error":{"message":"slow down"}}' in ended.stdout


def test_prompts_of_a_file_are_unique_while_they_last(server: ScriptedServer, tmp_path: pathlib.Path) -> None:
    """Three different lines: three requests repeat none, four do, and the report says which."""
    (tmp_path / "prompts.txt").write_text("one\ntwo\nthree\n")
    words = ["--prompt", "file", "--prompt-file", str(tmp_path / "prompts.txt"), "--requests"]
    found = []
    for requests in ("3", "4"):
        run(server.url, tmp_path / "r.json", *words, requests)
        found.append(json.loads((tmp_path / "r.json").read_text())["load"]["prompts"])

    assert found == [
        {"what": "3 of the 3 prompts of a file", "unique": True},
        {"what": "3 prompts of a file, repeated", "unique": False},
    ]


def _keys(record: typing.Mapping[str, typing.Any], path: str = "") -> typing.Iterator[str]:
    """Yield the dotted keys of a result; those of distributions once."""
    for key, value in record.items():
        if isinstance(value, dict) and "p50" not in value:
            yield from _keys(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_load_without_losing_a_sample(
    server: ScriptedServer, tmp_path: pathlib.Path, number: signal.Signals, status: int
) -> None:
    """At any moment: what was sent has a sample, the result is written, and the exit status is documented."""
    output = tmp_path / "r.json"
    words = ["--concurrency", "8", "--seconds", "60", "--grace-seconds", "1"]
    with subprocess.Popen(
        command(server.url, output, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as load:
        started = tmp_path / "r.samples.jsonl"
        until = time.monotonic() + 10
        while not started.exists() and time.monotonic() < until:
            time.sleep(0.01)  # until the load has begun
        time.sleep(random.random() / 4)
        load.send_signal(number)
        _, errors = load.communicate(timeout=10)
    record = json.loads(output.read_text())
    samples = read_samples(tmp_path / "r.samples.jsonl")

    assert (load.returncode, errors) == (status, b"")
    assert record["stopped_by"] == number.name
    assert record["requests"]["intended"] == len(samples)
    assert sorted(sample.request for sample in samples) == list(range(len(samples)))


def test_bad_options_are_refused_before_anything_is_sent(tmp_path: pathlib.Path) -> None:
    """Exit status 2, one sentence each, no traceback."""
    ended = run("http://127.0.0.1:9", tmp_path / "r.json", "--rate", "-1", "--seconds", "1")

    assert ended.returncode == 2
    assert ended.stderr == (
        "--rate: must be a finite number above 0 (got -1)\n"
        "--rate: must be given exactly with --mode constant or poisson (got -1); leave it out, or choose "
        "such a --mode\n"
    )


def test_a_server_that_is_not_there_is_a_failure(tmp_path: pathlib.Path) -> None:
    """Exit status 5 and one sentence."""
    with ScriptedServer() as gone:
        url = gone.url
    ended = run(url, tmp_path / "r.json", "--seconds", "1")

    assert ended.returncode == 5
    assert ended.stderr.startswith(f"{url}/v1/models failed: no connection to 127.0.0.1:")
    assert ended.stderr.endswith("; start the server, or correct its URL\n")


def test_a_load_without_an_answer_is_a_failure(tmp_path: pathlib.Path) -> None:
    """Exit status 5, with what the first request was told."""
    with ScriptedServer(Script(fault="http_500"), process=True) as failing:
        ended = run(failing.url, tmp_path / "r.json", "--model", "scripted", "--requests", "1")

    assert (ended.returncode, ended.stderr) == (
        5,
        (
            'no request succeeded, 1 failed; the first: HTTP status 500: {"error":{"message":"boom"}}; the server\'s '
            "own log says more\n"
        ),
    )


def test_a_server_that_lists_no_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be asked of it until it has one, or is told which."""

    async def none(_: Server) -> tuple[()]:
        return ()

    monkeypatch.setattr(Server, "models", none)

    with pytest.raises(
        ServerFailed, match=whole("http://h/v1/models lists no model; load one there, or name one with --model")
    ):
        asyncio.run(first_models(Server(url="http://h")))


@pytest.mark.parametrize(
    ("came", "status", "remedy"),
    [
        ("no connection: [Errno 111]", Exit.FAILED, "start the server, or correct its URL"),
        ("HTTP status 401: {}", Exit.BAD_INPUT, "give the servers' key with --key-variable or --key-file"),
        ("HTTP status 404: {}", Exit.BAD_INPUT, "start the server, or correct its URL"),
        ("no connection: CERTIFICATE_VERIFY_FAILED", Exit.BAD_INPUT, "name its certificate with --ca-file"),
    ],
)
def test_what_lists_no_models_ends_as_in_a_run(
    monkeypatch: pytest.MonkeyPatch, came: str, status: Exit, remedy: str
) -> None:
    """Silence is the server's failure; any other answer is one to options that can be mended, as a missing key."""

    async def refused(_: Server) -> typing.NoReturn:
        raise ServerFailed(f"http://h/v1/models failed: {came}")

    monkeypatch.setattr(Server, "models", refused)

    with pytest.raises(OptimalTpError, match=f"{re.escape(came)}.*; {remedy}$") as caught:
        asyncio.run(first_models(Server(url="http://h")))
    assert caught.value.exit_status == status


def test_a_client_that_stood_still_is_void(server: ScriptedServer, tmp_path: pathlib.Path) -> None:
    """Stopped for 0.3 s, as a debugger does: exit status 4, and the reasons say by how much."""
    output = tmp_path / "r.json"
    words = ["--mode", "constant", "--rate", "200", "--seconds", "0.8"]
    with subprocess.Popen(
        command(server.url, output, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as load:
        until = time.monotonic() + 10
        while not (tmp_path / "r.samples.jsonl").exists() and time.monotonic() < until:
            time.sleep(0.01)  # until the load has begun
        time.sleep(0.2)
        load.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        load.send_signal(signal.SIGCONT)
        load.communicate(timeout=10)
    record = json.loads(output.read_text())
    reasons = " ".join(record["audit"]["reasons"])

    assert load.returncode == 4
    assert "the client's own clock ticked " in reasons
    assert re.search(r"the client paused for \d{3,} ms", reasons)
    assert "late at the 99th percentile" in reasons
    assert record["requests"]["intended"] == 160


def test_a_disk_that_fills_up_is_told_and_keeps_what_it_has(tmp_path: pathlib.Path) -> None:
    """The file may grow to 100 kB: exit status 5, every line in it is whole, and each request sent is counted."""

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    output = tmp_path / "r.json"
    with ScriptedServer(Script(ttft_seconds=0.005), process=True) as server:
        load = run(server.url, output, "--concurrency", "32", "--requests", "2000", limited=small_files)
        with urllib.request.urlopen(f"{server.url}/truth", timeout=5) as answer:  # noqa: S310 - loopback
            answered = len(json.loads(answer.read())["requests"])
    samples = read_samples(tmp_path / "r.samples.jsonl")

    assert load.returncode == 5
    told = re.fullmatch(
        rf"samples cannot be written to {tmp_path / 'r.samples.jsonl'}: File too large; {len(samples):,} samples "
        r"are kept, (\d+) lost after that; free space there or name another folder\n",
        load.stderr,
    )
    assert told is not None
    # What the server had not answered when the load ended was at most all slots.
    assert answered <= len(samples) + int(told[1]) <= answered + 32
    assert len(samples) > 100


def test_a_client_without_sockets_is_void(server: ScriptedServer, tmp_path: pathlib.Path) -> None:
    """40 files may be open and 60 connections are wanted: those that failed are labelled as this machine's doing."""

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    output = tmp_path / "r.json"
    words = ["--concurrency", "60", "--requests", "60", "--limit-ms", "60000"]
    load = run(server.url, output, *words, limited=few_files)
    record = json.loads(output.read_text())
    lacking = record["requests"]["no_socket"]

    assert (load.returncode, load.stderr) == (4, "")
    assert record["requests"]["ok"] + lacking == 60
    assert record["audit"]["reasons"][0].startswith(f"{lacking} requests were not sent because this machine ran out ")


def test_an_output_that_cannot_be_written_is_told_before_anything_is_sent(tmp_path: pathlib.Path) -> None:
    """An hour's load must not end with that."""
    (tmp_path / "file").write_text("")
    output = tmp_path / "file" / "r.json"
    with ScriptedServer(process=True) as server:
        ended = run(server.url, output, "--requests", "3", "--samples", str(tmp_path / "s.jsonl"))
        with urllib.request.urlopen(f"{server.url}/truth", timeout=5) as answer:  # noqa: S310 - loopback
            requests = json.loads(answer.read())["requests"]

    assert (ended.returncode, requests) == (5, {})
    assert ended.stderr == f"the result cannot be written to {output}: File exists; name another file with --output\n"


@pytest.mark.parametrize("where", ["/dev/full", "a pipe that nobody reads"])
def test_a_terminal_that_takes_nothing_costs_no_result(
    server: ScriptedServer, tmp_path: pathlib.Path, where: str
) -> None:
    """The file is written, the status is the load's own, and there is no traceback."""
    output = tmp_path / "r.json"
    if where == "/dev/full":
        target = os.open(where, os.O_WRONLY)
    else:
        reader, target = os.pipe()
        os.close(reader)
    words = command(server.url, output, "--requests", "3", "--limit-ms", "60000")
    ended = subprocess.run(words, stdout=target, stderr=subprocess.PIPE, cwd=ROOT, check=False, timeout=30)
    os.close(target)

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(output.read_text())["requests"]["ok"] == 3


def _until(holds: typing.Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.001)


def _has(mask: str, process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Tell if ``process`` has ``number`` in ``mask``: SigCgt, caught by a handler, or SigBlk, blocked."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(rf"^{mask}:\s*(\w+)", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_signal_before_the_load_begins_ends_it_in_one_sentence(
    tmp_path: pathlib.Path, number: signal.Signals, status: int
) -> None:
    """While modules are imported nothing was sent, so there is nothing to keep: no traceback, the status as later."""
    with subprocess.Popen(
        command("http://127.0.0.1:9", tmp_path / "r.json", "--seconds", "60"), stderr=subprocess.PIPE, cwd=ROOT
    ) as load:
        _until(lambda: all(_has("SigCgt", load, caught) for caught in (signal.SIGTERM, signal.SIGINT)))
        load.send_signal(number)
        _, errors = load.communicate(timeout=10)

    assert (load.returncode, errors.decode()) == (status, f"{number.name} before the load began; nothing was sent\n")


def test_a_signal_after_the_load_has_ended_changes_nothing(server: ScriptedServer, tmp_path: pathlib.Path) -> None:
    """SIGTERM while the process ends: the result is written, and the status is that of a load that ended by itself."""
    output = tmp_path / "r.json"
    words = ["--requests", "3", "--limit-ms", "60000"]
    with subprocess.Popen(command(server.url, output, *words), stdout=subprocess.DEVNULL, cwd=ROOT) as load:
        _until(lambda: output.exists() and output.stat().st_size > 0)
        blocked = [_has("SigBlk", load, number) for number in (signal.SIGTERM, signal.SIGINT)]
        while load.poll() is None:
            load.send_signal(signal.SIGTERM)
    record = json.loads(output.read_text())

    assert (load.returncode, blocked) == (0, [True, True])
    assert record["requests"]["ok"] == 3


def test_the_command_needs_no_heavy_library() -> None:
    """The first request leaves within half a second: settings models, numbers and clouds are imported elsewhere."""
    heavy = "pydantic numpy scipy boto3 botocore rich psutil"
    code = f"import sys, optimal_tp.cli.load; print(*(set('{heavy}'.split()) & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)

    assert ended.stdout.strip() == ""
