"""The ``sweep`` command against scripted servers of two models: each its own truth, never both at once."""

import argparse
import asyncio
import collections.abc
import contextlib
import json
import pathlib
import typing

import pytest
import yaml
from rich.console import Console

from optimal_tp.__main__ import main as program
from optimal_tp.cli import run as run_command
from optimal_tp.cli.sweep import asked, configure
from optimal_tp.cluster import accounting, assembly
from optimal_tp.cluster.assembly import Assembly
from optimal_tp.cluster.order import Order, PatienceOrder, ReceiptOrder
from optimal_tp.errors import ServerFailed, SettingsError
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement import audit
from optimal_tp.measurement.progress import decode_progress
from optimal_tp.measurement.sweep import decode_sweep
from optimal_tp.report import files
from optimal_tp.telemetry.console import PlainWatcher
from tests.fakes_candidates import TP1, TP2
from tests.fakes_kubernetes import FakeCluster, served
from tests.fakes_server import Script, ScriptedServer
from tests.unit.test_accounting import CLAIMS, claim

SPACE = "/apis/apps/v1/namespaces/optimal-tp/deployments"
TRUTH = {"me/small": {1: 0.004, 2: 0.004}, "me/large": {1: 0.036, 2: 0.009}}
"""Seconds per token by model and degree: TP1 is best per core for the small one, TP2 for the large one."""
# Runs of a few seconds each, on whatever the machine has to spare.
pytestmark = pytest.mark.timeout(240)
SETTINGS = {
    "model": {"revision": "none"},
    "degrees": [1, 2],
    "load": {
        "prompt_tokens": 7,
        "output_tokens": 3,
        "output_spread": 0,
        "warm_up_requests": 1,
        "idle_requests": 1,
        "warm_in": 1,
        "turn_length": 5,
        "turn_requests": 10,
        "bracket_turns": 2,
        "pause_seconds": 0,
        "request_timeout_seconds": 5,
    },
    "decision": {
        "minimum_blocks": 4,
        "fixed_looks": 5,
        "resolution": 0.2,
        "least_lead": 0.15,
        "maximum_blocks": 8,
        "budget_seconds": 40,
        "proof_seconds": 0,
    },
    "models": [
        {"model": {"name": "me/small"}},
        {"model": {"name": "me/large"}, "limits": {"total_latency_ms": {"percentile": 50, "at_most_ms": 250}}},
    ],
}


@pytest.fixture(autouse=True)
def _busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client be late: what is tested is the sweep, not how much this machine has to spare."""
    monkeypatch.setattr(audit, "LATENESS_FLOOR_MS", 100.0)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures to their own tests: they take most of a report's time."""
    monkeypatch.setattr(files, "plots", lambda _analysis: ())


@contextlib.contextmanager
def servers(absent: str = "") -> collections.abc.Iterator[list[str]]:
    """Yield ``--target`` words for a server of each model and degree; the model called ``absent`` serves another."""
    with contextlib.ExitStack() as stack:
        words = []
        for model, degrees in TRUTH.items():
            for degree, seconds in degrees.items():
                served = "other" if model == absent else model
                script = Script(model=served, ttft_seconds=seconds, gap_seconds=seconds, slots=1)
                words += ["--target", f"{model}@{degree}={stack.enter_context(ScriptedServer(script)).url}"]
        yield words


def parsed(folder: pathlib.Path, *words: str, results: str | None = None) -> argparse.Namespace:
    """Return the command line with ``words``."""
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump({"workloads": SETTINGS}), encoding="utf-8")
    parser = argparse.ArgumentParser()
    configure(parser)
    where = str(folder / "out") if results is None else results
    options = ("--settings", str(path), "--results", where, "--ready-timeout-seconds", "2")
    return parser.parse_args([*options, *words])


def assembled_for(order: Order, halt: Halt) -> Assembly:
    """Return the sweep of ``order``, which nobody watches."""
    return Assembly(order=order, watching=PlainWatcher(Console(quiet=True)), halt=halt)


def swept(arguments: argparse.Namespace, **changes: object) -> int:
    """Run the sweep that ``arguments`` ask for, its order with ``changes``, and return its exit status."""

    async def sweep() -> int:
        halt = Halt(event=asyncio.Event())
        order = asked(arguments).model_copy(update=changes)
        return await assembled_for(order, halt).sweep()

    return asyncio.run(sweep())


def answers(folder: pathlib.Path) -> dict[str, tuple[str, str | None]]:
    """Return outcome and degree by model, as data tells them."""
    (found,) = folder.glob("out/*/verdicts.json")
    return {row["model"]: (row["outcome"], row["candidate"]) for row in json.loads(found.read_text())["models"]}


def test_each_model_gets_its_own_truth(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are settled, at the degrees that were planted; each has a whole run, and the sweep says so once more."""
    with servers() as words:
        status = swept(parsed(tmp_path, *words))
    (folder,) = (tmp_path / "out").iterdir()
    found = decode_sweep((folder / "sweep.json").read_text())
    capsys.readouterr()
    again = program(["report", str(folder)])
    said = capsys.readouterr().out.splitlines()

    assert answers(tmp_path) == {"me/small": ("settled", "TP1"), "me/large": ("settled", "TP2")}
    assert (status, again) == (0, 0)
    assert [(leg.model, leg.folder, leg.state) for leg in found.legs] == [
        ("me/small", "small", "ended"),
        ("me/large", "large", "ended"),
    ]
    assert said[-2:] == ["Serve me/small with TP1 and me/large with TP2.", f"Report: {folder / 'report.html'}"]
    assert {path.name for path in (folder / "large").iterdir()} >= {"run.json", "verdict.json", "report.html"}
    assert json.loads((folder / "large" / "run.json").read_text())["settings"]["limits"]["total_latency_ms"]
    assert (folder / "report.md").read_text().startswith("# Serve me/small with TP1 and me/large with TP2.\n")


def test_a_model_that_cannot_be_measured_leaves_the_others_their_turn(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its leg is failed with the reason, the next model is measured, and the exit status tells of the failure."""
    with servers(absent="me/small") as words:
        status = swept(parsed(tmp_path, *words))
    (folder,) = (tmp_path / "out").iterdir()
    small, large = decode_sweep((folder / "sweep.json").read_text()).legs
    said = capsys.readouterr().out

    assert (status, program(["report", str(folder)])) == (5, 5)
    assert (small.state, large.state) == ("failed", "ended")
    assert "must serve me/small (workloads.model.name), but it serves other" in str(small.sentence)
    assert answers(tmp_path) == {"me/small": ("not measured", None), "me/large": ("settled", "TP2")}
    assert "Serve me/large with TP2; not measured: me/small." in said


def test_the_end_of_the_money_leaves_a_report(tmp_path: pathlib.Path) -> None:
    """What was measured until then is judged; the model whose turn has not come is said to be not measured."""

    async def spent(halt: Halt) -> None:
        """End the money as soon as the first model's first samples are there."""
        while not any(path.stat().st_size for path in (tmp_path / "out").rglob("samples-*.jsonl")):  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.01)
        halt.set("budget", "the money ends")

    async def sweep() -> int:
        halt = Halt(event=asyncio.Event())
        spending = asyncio.create_task(spent(halt))
        try:
            return await assembled_for(asked(parsed(tmp_path, *words)), halt).sweep()
        finally:
            spending.cancel()

    with servers() as words:
        status = asyncio.run(sweep())
    (folder,) = (tmp_path / "out").iterdir()
    rows = json.loads((folder / "verdicts.json").read_text())["models"]

    assert status == 5
    assert rows[0]["outcome"] in ("settled", "inconclusive", "void")
    assert (rows[1]["outcome"], rows[1]["sentence"]) == ("not measured", "its turn has not come")


def test_a_sweep_without_any_run_fails(tmp_path: pathlib.Path) -> None:
    """Where no model was measured there is nothing to probe and nothing to be content with."""
    words = [word for name in TRUTH for word in ("--target", f"{name}@1=http://127.0.0.1:1")]

    with pytest.raises(ServerFailed, match=r"^none of 2 models was measured; read the reasons in .*/out/"):
        swept(parsed(tmp_path, *words))


def test_models_take_turns(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model's servers are started after those of all other models were stopped."""
    monkeypatch.setattr(assembly, "deployments", lambda urls: tuple(_name(url) for url in urls))
    with servers() as words:
        urls = [word.partition("=")[2] for word in words if "@" in word]
        cluster = FakeCluster(objects={f"{SPACE}/{_name(url)}/scale": {"spec": {"replicas": 0}} for url in urls})
        with served(cluster, tmp_path) as namespace:
            monkeypatch.setattr(assembly, "own_namespace", lambda: namespace)
            arguments = parsed(tmp_path, *words)
            models = tuple(model.model_copy(update={"rounds": ((TP1, TP2),)}) for model in asked(arguments).models)
            patience = PatienceOrder(capacity_seconds=60, compile_seconds=60, start_seconds=60)
            status = swept(arguments, models=models, patience=patience)
    changed = [path.split("/")[-2] for path in cluster.changed]
    small, large = ([_name(url) for url in each] for each in (urls[:2], urls[2:]))

    assert status in (0, 3, 4)  # how sure the answer is does not matter here
    assert changed[:4] == [*large, *small]
    assert changed.index(large[0], 4) == len(changed) - changed[::-1].index(small[0]) + 1
    assert [cluster.objects[f"{SPACE}/{name}/scale"]["spec"]["replicas"] for name in (*small, *large)] == [0, 0, 1, 1]


def _name(url: str) -> str:
    return f"server-{url.rsplit(':', maxsplit=1)[1]}"


class Store:
    """S3's put_object, kept in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803 - boto3's names
        """Keep ``Body``."""
        self.objects[f"{Bucket}/{Key}"] = Body


def test_the_bucket_has_the_sweep_and_its_runs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the prefix the sweep's name, below it its record and report and a folder per model."""
    store = Store()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("boto3.client", lambda _name: store)
    with servers() as words:
        swept(parsed(tmp_path, *words, results="s3://b/runs"))
    roots = {key.split("/")[2] for key in store.objects}
    names = {key.split("/", 3)[3] for key in store.objects}

    assert len(roots) == 1
    assert names >= {"sweep.json", "report.html", "verdicts.json", "small/run.json", "large/progress.json"}
    assert names >= {"small/verdict.json", "large/report.md"}
    for key, content in store.objects.items():
        if key.endswith("/progress.json"):
            told = decode_progress(content)
            assert told.is_over
            assert told.looks[-1].blocks >= 4
            assert told.model_title == key.split("/")[-2]


def test_a_sweep_has_a_receipt_in_its_report(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all models together cost stands in record, data and report, and again when the report is made anew."""
    cluster = FakeCluster(objects={CLAIMS: {"items": [claim("a", "2026-07-01T09:00:00Z")]}})
    with servers() as words, served(cluster, tmp_path) as namespace:
        monkeypatch.setattr(accounting, "own_namespace", lambda: namespace)
        swept(parsed(tmp_path, *words), receipt=ReceiptOrder(node_pool="neuron-trn-2", idle_usd_per_hour=0.4))
    (folder,) = (tmp_path / "out").iterdir()
    kept = decode_sweep((folder / "sweep.json").read_text()).receipt
    told = json.loads((folder / "verdicts.json").read_text())["receipt"]
    pages = [(folder / name).read_text() for name in ("report.md", "report.html")]
    program(["report", str(folder)])

    assert kept is not None
    assert [node.name for node in kept.nodes] == ["a"]
    assert (told["verdicts"], told["nodes"][0]["name"]) == (2, "a")
    assert all("1 x trn2.3xlarge" in page for page in pages)
    assert "- **Receipt.** 1 x trn2.3xlarge" in (folder / "report.md").read_text()


class Published:
    """CloudWatch's put_metric_data, kept in memory."""

    def __init__(self) -> None:
        self.models: set[str] = set()

    def put_metric_data(self, **request: typing.Any) -> None:
        """Keep the values of the dimension ``Model``."""
        for datum in request["MetricData"]:
            self.models |= {pair["Value"] for pair in datum["Dimensions"] if pair["Name"] == "Model"}


def test_metrics_tell_the_models_apart(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's title stands before the degree, in the one dimension that the AWS sample has."""
    published = Published()
    monkeypatch.setattr("boto3.client", lambda _name: published)
    with servers() as words:
        swept(parsed(tmp_path, *words, "--publish"))

    assert published.models == {"small TP1", "small TP2", "large TP1", "large TP2"}


def test_every_mistake_is_told_at_once(tmp_path: pathlib.Path) -> None:
    """Targets of no model, of no degree, a model without any, a bad pin: each once, with its model."""
    words = ("--target", "1=http://a", "--target", "me/small@4=http://a", "--pin", "image")

    with pytest.raises(SettingsError) as caught:
        asked(parsed(tmp_path, *words))

    assert str(caught.value).splitlines() == [
        (
            "--target[0]: must begin with a model of the settings and @ (me/small, me/large) (got '1=http://a'); "
            "write it as me/small@1=http://127.0.0.1:8001"
        ),
        (
            "--target[0] of me/small: must be one of the candidates in the settings (tp1, tp2) (got '4=http://a'); "
            "correct the target or the settings"
        ),
        "--target of me/large: must name at least one server (not set); add --target 1=http://127.0.0.1:8001",
        "--pin[0]: must be KEY=VALUE (got 'image'); write it as image=NAME",
    ]


def test_a_run_refuses_several_models(tmp_path: pathlib.Path) -> None:
    """The other command is named."""
    arguments = parsed(tmp_path, "--target", "1=http://a")

    with pytest.raises(SettingsError) as caught:
        run_command.asked(arguments)

    assert str(caught.value).splitlines()[0] == (
        f"--settings: must have one model; this file has 2 (got '{tmp_path / 'settings.yaml'}'); use sweep"
    )
