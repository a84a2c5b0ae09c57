"""A degree with several batches through the whole program: everything that a degree has, each batch has."""

import functools
import json

import pytest

from optimal_tp.facts.candidates import Candidate
from tests.fakes_pulumi import Recording
from tests.fakes_workloads import order, program

pytestmark = pytest.mark.program

SMALL, LARGE = Candidate(1, 4), Candidate(1, 16)


@functools.cache
def stack() -> Recording:
    """Return the dev stack with TP1 at two batches beside TP2 at one."""
    return program(
        "Pulumi.dev.yaml",
        workloads__degrees=[1, 2],
        workloads__model={"max_num_seqs": {1: [4, 16], 2: 8}},
        infra__neuron__maximum_nodes=1,
    )


def words(resource: str) -> list[str]:
    """Return the words with which the first container of ``resource`` is started."""
    container = stack().one(resource).inputs["spec"]["template"]["spec"]["containers"][0]
    return [*container["command"], *container.get("args", [])]


def test_each_batch_is_served_by_servers_of_its_own() -> None:
    """Deployment, Service and policy carry the batch in their names where the degree has several, and only there."""
    names = {each.name.removesuffix("-pods") for each in stack().of_type("apps/v1:Deployment")} - {"loadgen"}

    assert names == {
        *(f"tp1-b{batch}-{replica}" for batch in (4, 16) for replica in range(4)),
        *(f"tp2-{replica}" for replica in range(2)),
    }
    for name in names:
        for kind, part in (("Service", "address"), ("NetworkPolicy", "callers")):
            assert stack().one(f"{kind} {name}-{part}").inputs["metadata"]["name"] == f"qwen-vllm-{name}"


@pytest.mark.parametrize(("name", "batch"), [("tp1-b4", 4), ("tp1-b16", 16), ("tp2", 8)])
def test_each_batch_is_compiled_into_a_folder_of_its_own(name: str, batch: int) -> None:
    """The compiled artifact depends on the batch; its servers load from the folder that its Job filled."""
    compiled, served = words(f"Job artifacts-compile-{name}"), words(f"Deployment {name}-0-pods")
    folder = compiled[compiled.index("--folder") + 1]
    loaded = stack().one(f"Deployment {name}-0-pods").inputs["spec"]["template"]["spec"]["containers"][0]["env"]

    assert f"-bs{batch}-" in folder
    assert {"name": "NEURON_COMPILED_ARTIFACTS", "value": folder} in loaded
    assert served[served.index("--max-num-seqs") + 1] == str(batch)
    assert served[served.index("--served-model-name") + 2] == f"Qwen/Qwen3-0.6B-{name}"


def test_the_load_generator_is_told_candidates() -> None:
    """Targets and rounds by candidate; each fills the chip, so each has a round of its own, most promising first."""
    (model,) = order(stack()).models

    assert list(model.targets) == [SMALL, LARGE, Candidate(2)]
    assert model.rounds == ((LARGE,), (Candidate(2),), (SMALL,))
    assert model.targets[LARGE] == tuple(f"http://qwen-vllm-tp1-b16-{replica}:8000" for replica in range(4))


def test_dashboard_and_alarms_name_the_batch() -> None:
    """CloudWatch has ``TP1-B4``; a degree with one batch keeps its name."""
    body = json.dumps(json.loads(stack().one("Dashboard dashboard-board").inputs["dashboardBody"]))
    alarms = {each.name for each in stack().of_type(":MetricAlarm")}

    assert all(f'"{name}"' in body for name in ("TP1-B4", "TP1-B16", "TP2"))
    assert '"TP1"' not in body
    assert alarms == {"dashboard-void-tp1-b4", "dashboard-void-tp1-b16", "dashboard-void-tp2"}


def test_each_round_is_priced() -> None:
    """Three rounds compile, and start three times, in three hours, where two would in two."""
    expected = next(line for line in stack().outputs["cost"] if line.startswith("expected"))

    assert "(3.0 h to compile and start" in expected


def test_a_batch_that_does_not_fit_is_a_word_with_its_arithmetic() -> None:
    """Before anything is spent; the batches that fit are served."""
    recording = program("Pulumi.dev.yaml", workloads__model={"max_num_seqs": {1: [4, 2048], 2: 4, 4: 4}})
    (model,) = order(recording).models
    ((candidate, gate),) = model.gates.items()

    assert (candidate, gate.gate) == (Candidate(1, 2048), "no-fit")
    assert "x 2,048 sequences x 2 bytes" in gate.reason
    assert list(model.targets) == [SMALL, Candidate(2), Candidate(4)]
    assert recording.outputs["plan"][-1] == f"TP1-B2048 is not measured (no-fit): {gate.reason}"


def test_auto_is_decided_by_the_chips_memory() -> None:
    """One logical core of 22.35 GiB holds 1,532 sequences of 128 tokens of the 0.6B model, two cores twice as many."""
    recording = program(
        "Pulumi.dev.yaml",
        workloads__degrees=[1, 2],
        workloads__model={"max_num_seqs": "auto"},
        spend__budget_usd=60,
    )
    found = order(recording).models[0].settings.model.max_num_seqs

    assert found == {1: (1, 4, 16, 64, 256, 1024), 2: (1, 4, 16, 64, 256, 1024)}
