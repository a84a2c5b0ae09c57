"""``make local`` as a user runs it, with a stand-in for vLLM: its ends, what it keeps and leaves."""

import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import psutil
import pytest
import yaml

from optimal_tp.results.source import read

ROOT = pathlib.Path(__file__).parents[2]
CORES = sorted(os.sched_getaffinity(0))
pytestmark = [
    pytest.mark.slow,  # each starts moto and servers: seconds
    pytest.mark.skipif(len(CORES) < 2, reason="TP2 needs 2 cores"),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ended:
    """How the program ended."""

    status: int
    lines: list[str]
    errors: str
    folder: pathlib.Path
    survivors: list[str]
    """Command lines of its processes that are still there."""


def _profile(folder: pathlib.Path, models: tuple[str, ...], **local: object) -> pathlib.Path:
    load = {
        "prompt_tokens": 7,
        "output_tokens": 8,
        "warm_up_requests": 1,
        "idle_requests": 1,
        "concurrency": [1, 2, 4],
        "warm_in": 1,
        "turn_length": 5,
        "turn_requests": 6,
        "bracket_turns": 2,
        "pause_seconds": 0,
    }
    data = {
        "workloads": {
            "degrees": [1, 2, 1024],
            "load": load,
            "decision": {
                "minimum_blocks": 4,
                "fixed_looks": 5,
                "maximum_blocks": 8,
                "budget_seconds": 30,
                "proof_seconds": 0,
            },
            **({"models": [{"model": {"name": name, "revision": "none"}} for name in models]} if models else {}),
        },
        "local": {"stop_timeout_seconds": 2, "server_overhead_gib": 0, "kv_cache_gib": 1, **local},
    }
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def _run(
    folder: pathlib.Path,
    *words: str,
    interrupt_at: str | None = None,
    death: str | None = None,
    models: tuple[str, ...] = (),
    **local: object,
) -> _Ended:
    """Run the program with ``words``; with ``interrupt_at``, press Ctrl-C when a line has that text."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "tests" / "fakes_vllm"),
        "PLANTED_STEP_SECONDS": '{"1": 0.002, "2": 0.0015}',
    } | ({} if death is None else {"PLANTED_DEATH_SECONDS": death})
    options = ("--profile", str(_profile(folder, models, **local)), "--out", str(folder / "out"), *words)
    command = [sys.executable, "-m", "optimal_tp", "local", *options, "--vllm-python", sys.executable]
    family: set[psutil.Process] = set()
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            family |= set(psutil.Process(process.pid).children(recursive=True)) if process.poll() is None else set()
            if interrupt_at is not None and interrupt_at in line:
                process.send_signal(signal.SIGINT)
                interrupt_at = None
        errors = process.stderr.read() if process.stderr else ""
    _, alive = psutil.wait_procs(family, timeout=5)
    runs = list((folder / "out").glob("2*")) if (folder / "out").is_dir() else []
    return _Ended(
        status=process.returncode,
        lines=lines,
        errors=errors,
        folder=runs[0] if runs else folder,
        survivors=[str(one) for one in alive],
    )


def test_a_whole_run_ends_with_a_verdict_and_a_report(tmp_path: pathlib.Path) -> None:
    """Any honest end will do; every degree has its word, and the last line is where the report is."""
    ended = _run(tmp_path)
    names = {path.name for path in ended.folder.iterdir()}
    verdict = json.loads((ended.folder / "verdict.json").read_text())["verdict"]
    words = {item["degree"]: item["word"] for item in verdict["degrees"]}

    assert ended.status in {0, 3, 4}, ended.errors
    assert names >= {"run.json", "samples-0000.jsonl", "verdict.json", "report.md", "report.html"}
    assert any(name.startswith("server-tp1") and name.endswith(".log") for name in names)
    # On a machine so busy that no turn was sound there is nothing to draw.
    rated = any(item["tokens_per_second_per_core"] is not None for item in verdict["degrees"])
    assert ("load.png" in names) == rated
    assert set(words) == {1, 2, 1024}
    assert words[1024] == "no-fit"
    assert (tmp_path / "out" / "last").resolve() == ended.folder
    assert ended.lines[-1] == f"Report: {ended.folder / 'report.html'}"
    assert any("After the run: " in line for line in ended.lines)
    physics = read(str(ended.folder)).record.physics
    # None where neighbours kept memory from being the limit both times.
    assert physics is None or physics.roof.bytes_per_second == max(each.bytes_per_second for each in physics.measured)
    assert ended.survivors == []


def test_the_stored_run_gives_the_same_verdict_again(tmp_path: pathlib.Path) -> None:
    """Offline, from the folder alone, word for word."""
    ended = _run(tmp_path)
    before = (ended.folder / "verdict.json").read_text()
    again = subprocess.run(
        [sys.executable, "-m", "optimal_tp", "report", str(ended.folder)], capture_output=True, cwd=ROOT, check=False
    )

    assert again.returncode == ended.status
    assert (ended.folder / "verdict.json").read_text() == before


def test_ctrl_c_is_one_sentence_and_keeps_the_samples(tmp_path: pathlib.Path) -> None:
    """Status 130, nothing left running, and a sample for every request of every turn."""
    ended = _run(tmp_path, interrupt_at="block 1")
    source = read(str(ended.folder))

    assert (ended.status, ended.errors) == (130, "Ctrl-C ended the run; the samples so far are kept\n")
    assert len(source.samples) == sum(turn.requests for turn in source.record.turns) > 0
    assert ended.survivors == []


def test_ctrl_c_while_servers_load_leaves_nothing_running(tmp_path: pathlib.Path) -> None:
    """Nothing was measured yet, so nothing is kept but the logs."""
    ended = _run(tmp_path, interrupt_at="starting vLLM at TP2")

    assert ended.status == 130
    assert re.fullmatch(r"interrupted [^\n]+\n", ended.errors)
    assert ended.survivors == []


def test_a_server_that_dies_is_one_sentence_with_its_last_words(tmp_path: pathlib.Path) -> None:
    """Status 5; degree, status, log and the log's last line are named; the samples are kept."""
    ended = _run(tmp_path, death="2.5")

    assert ended.status == 5
    assert re.fullmatch(
        r"the server of TP2 ended with status 3; its log \S+server-tp2\.log ends: .*RuntimeError: planted death\n",
        ended.errors,
    )
    assert ended.survivors == []


def test_a_port_in_use_is_one_sentence_before_anything_starts(tmp_path: pathlib.Path) -> None:
    """The port and the setting that moves it are named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = _run(tmp_path, first_port=port)

    assert ended.status == 5
    assert ended.errors == (
        f"port {port} on 127.0.0.1 cannot be used (Address already in use); "
        "set local.first_port to another number or remove it to use free ports\n"
    )
    assert ended.survivors == []


def test_no_degree_that_fits_is_one_sentence(tmp_path: pathlib.Path) -> None:
    """Every degree's number is in it."""
    ended = _run(tmp_path, gib_per_core=0.01)

    assert ended.status == 5
    assert ended.errors.startswith("no degree fits this machine: TP1 needs ")
    assert ended.errors.endswith("; choose smaller degrees or a smaller model in the profile\n")
    assert ended.errors.count("\n") == 1


def test_metrics_reach_cloudwatch_under_the_seeds_names(tmp_path: pathlib.Path) -> None:
    """The run says nothing of trouble with CloudWatch: moto took every request through the ordinary client."""
    ended = _run(tmp_path)

    assert not [line for line in ended.lines if "CloudWatch" in line]
    assert not list(ended.folder.glob("outbox/*"))


def test_wrong_settings_start_nothing(tmp_path: pathlib.Path) -> None:
    """Status 2, every bad key, no folder."""
    ended = _run(tmp_path, colour="red", first_port=1)

    assert ended.status == 2
    assert len(ended.errors.splitlines()) == 2
    assert not (tmp_path / "out").exists()


def test_a_sweep_is_a_run_per_model_and_a_table(tmp_path: pathlib.Path) -> None:
    """Both are measured, one after the other, each with its folder; ``last`` is the sweep's."""
    ended = _run(tmp_path, models=("me/small", "me/large"))
    rows = json.loads((ended.folder / "verdicts.json").read_text())["models"]
    starts = [line.split("model ")[1] for line in ended.lines if " of 2: " in line]

    assert ended.status in {0, 3, 4}, ended.errors
    assert starts == ["1 of 2: me/small", "2 of 2: me/large"]
    assert [row["model"] for row in rows] == ["me/small", "me/large"]
    assert all(
        {"run.json", "report.html"} <= {path.name for path in (ended.folder / row["folder"]).iterdir()} for row in rows
    )
    assert {read(str(ended.folder / row["folder"])).record.settings.model.name for row in rows} == {
        "me/small",
        "me/large",
    }
    assert (tmp_path / "out" / "last").resolve() == ended.folder
    assert ended.lines[-1] == f"Report: {ended.folder / 'report.html'}"
    assert ended.survivors == []


def test_ctrl_c_ends_a_sweep_with_what_was_measured(tmp_path: pathlib.Path) -> None:
    """The model under way is kept as failed with the sentence, the later one had no turn, nothing is left running."""
    ended = _run(tmp_path, models=("me/small", "me/large"), interrupt_at="block 1")
    legs = json.loads((ended.folder / "sweep.json").read_text())["legs"]

    assert (ended.status, ended.errors) == (130, "Ctrl-C ended the run; the samples so far are kept\n")
    assert [(leg["state"], leg["sentence"]) for leg in legs] == [
        ("failed", "Ctrl-C ended the run; the samples so far are kept"),
        ("waiting", None),
    ]
    assert (ended.folder / "small" / "report.html").is_file()
    assert ended.survivors == []


def test_a_sweep_has_no_model_directory(tmp_path: pathlib.Path) -> None:
    """One directory cannot be several models."""
    ended = _run(tmp_path, "--model", str(tmp_path), models=("me/small", "me/large"))

    assert ended.status == 2
    assert ended.errors == (
        f"MODEL: must go with a profile of one model; this one has 2 (got '{tmp_path}'); remove MODEL or choose a "
        f"profile with one model\n"
    )
    assert not (tmp_path / "out").exists()
