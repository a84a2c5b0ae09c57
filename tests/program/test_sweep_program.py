"""A sweep through the real program: names, turns of models, what the load generator is told, and refusals."""

import typing

import pytest
import yaml

from optimal_tp.cluster.order import JobsOrder
from optimal_tp.errors import SettingsError
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.shapes import ModelShape
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_pulumi import Recording
from tests.fakes_workloads import FAMILY, PROGRAMS, order, program
from workloads.manifests.panels import GRID_COLUMNS

SMALL, LARGE = "qwen3-0-6b", "qwen3-8b"
SERVERS = (*(f"{SMALL}-tp{degree}" for degree in (1, 2, 4)), *(f"{LARGE}-tp{degree}" for degree in (2, 4)))


def sweep() -> Recording:
    """Return the run that all tests look at."""
    return PROGRAMS["sweep"]()


def generator(recording: Recording) -> dict[str, typing.Any]:
    """Return the load generator's container."""
    (container,) = recording.one("Deployment loadgen-pods").inputs["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_servers_are_named_per_model_and_degree() -> None:
    """Deployment, Service and policy of each carry the model's slug."""
    recording = sweep()

    assert sorted(each.name for each in recording.of_type("VllmServer")) == sorted(SERVERS)
    assert [recording.one(f"Service {name}-address").inputs["metadata"]["name"] for name in SERVERS] == [
        f"qwen-vllm-{name}" for name in SERVERS
    ]


def test_each_server_serves_its_own_model() -> None:
    """Another model under its name would be measured as it."""
    for name in SERVERS:
        (container,) = sweep().one(f"Deployment {name}-pods").inputs["spec"]["template"]["spec"]["containers"]
        served = container["command"][container["command"].index("--served-model-name") + 1]

        assert served == ("Qwen/Qwen3-0.6B" if name.startswith(SMALL) else "Qwen/Qwen3-8B")


def test_artifacts_are_fetched_and_compiled_per_model() -> None:
    """One fetch Job a model and one compile Job a degree, each with its model's files."""
    recording = sweep()
    jobs = [each.name for each in recording.of_type("batch/v1:Job")]
    fetched = recording.one(f"Job artifacts-fetch-{LARGE}").inputs

    assert sorted(jobs) == sorted(
        [f"artifacts-fetch-{SMALL}", f"artifacts-fetch-{LARGE}", *(f"artifacts-compile-{name}" for name in SERVERS)]
    )
    assert fetched["metadata"]["name"] == f"qwen-vllm-fetch-{LARGE}"
    (container,) = fetched["spec"]["template"]["spec"]["containers"]
    words = container["command"]
    assert words[words.index("--revision") + 1] == FAMILY[1]["model"]["revision"]  # type: ignore[index]
    assert ModelShape.read(words[words.index("--shape") + 1]) == SHAPES["Qwen/Qwen3-8B"]


def test_the_load_generator_knows_every_server_and_turn() -> None:
    """Its command is ``sweep``; each model has its targets, Jobs and rounds; it may scale every server."""
    container, asked = generator(sweep()), order(sweep())
    role, guard = (sweep().one(f"Role {name}") for name in ("loadgen-conducting", "guard-rights"))

    assert (container["command"][-1], container["args"]) == ("sweep", ["--order", "/etc/optimal-tp/order.json"])
    assert [model.rounds for model in asked.models] == [((TP1, TP2, TP4),), ((TP2, TP4),)]
    assert asked.models[0].targets[TP1] == (f"http://qwen-vllm-{SMALL}-tp1:8000",)
    assert asked.models[1].targets[TP4] == (f"http://qwen-vllm-{LARGE}-tp4:8000",)
    assert asked.makes_room
    assert role.inputs["rules"][0]["resourceNames"] == sorted(f"qwen-vllm-{name}" for name in SERVERS)
    assert guard.inputs["rules"][0] == role.inputs["rules"][0]
    compiled = [f"qwen-vllm-{name}-compile" for name in SERVERS]
    fetched = [f"qwen-vllm-fetch-{slug}" for slug in (SMALL, LARGE)]
    assert guard.inputs["rules"][1]["resourceNames"] == sorted(compiled)
    assert role.inputs["rules"][1]["resourceNames"] == sorted([*compiled, *fetched])
    assert asked.models[1].jobs == JobsOrder(
        fetch=fetched[1], compile={TP2: f"qwen-vllm-{LARGE}-tp2-compile", TP4: f"qwen-vllm-{LARGE}-tp4-compile"}
    )


def test_the_load_generator_reads_the_same_models() -> None:
    """Its order has each model with its own degrees and limits, and the price of the stack file."""
    small, large = (each.settings for each in order(sweep()).models)

    assert (small.model.name, small.degrees, list(small.limits.asked())) == (
        "Qwen/Qwen3-0.6B",
        (1, 2, 4),
        ["total_latency_ms"],
    )
    assert (large.model.name, large.degrees, list(large.limits.asked())) == ("Qwen/Qwen3-8B", (2, 4), ["ttft_ms"])
    assert {each.price.usd_per_hour for each in (small, large) if each.price is not None} == {2.25}


def test_the_preview_shows_every_model_with_nodes_time_and_cost() -> None:
    """Two nodes at a time, four for all at once; both budgets are in the hours."""
    outputs = sweep().outputs

    assert outputs["plan"][0] == "2 models one after the other on 2 x trn2.3xlarge; all at once would need 4"
    assert outputs["plan"][1].startswith("Qwen/Qwen3-0.6B: 3 servers (one-each, packed) on 2 x trn2.3xlarge")
    assert "1.0 h to measure at most" in outputs["cost"][1]
    assert outputs["cost"][-2:] == [
        f"{name}: about 7.27 USD of it (1.0 h to compile and start, 0.5 h to measure at most)"
        for name in ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B")
    ]
    assert outputs["usd_per_hour"] == PROGRAMS["one-each"]().outputs["usd_per_hour"]


def test_the_dashboard_has_a_section_per_model() -> None:
    """A heading each, series told apart by the model's title, nothing overlaps."""
    body = yaml.safe_load(sweep().one("Dashboard dashboard-board").inputs["dashboardBody"])
    headings = [each for each in body["widgets"] if each["type"] == "text"]
    rows = [row for each in body["widgets"] for row in each["properties"].get("metrics", ()) if "Model" in row]
    tops = [(each["y"], each["y"] + each["height"], each["x"]) for each in body["widgets"]]

    assert [each["properties"]["markdown"].splitlines()[0] for each in headings] == [
        "# Qwen3-0.6B: tensor-parallel degrees TP1, TP2, TP4",
        "# Qwen3-8B: tensor-parallel degrees TP2, TP4",
    ]
    assert {row[row.index("Model") + 1] for row in rows} == {
        *(f"Qwen3-0.6B TP{degree}" for degree in (1, 2, 4)),
        *(f"Qwen3-8B TP{degree}" for degree in (2, 4)),
    }
    assert len({(top, left) for top, _, left in tops}) == len(tops)
    assert all(
        each["width"] == GRID_COLUMNS and top > headings[0]["y"] for each in headings[1:] for top in (each["y"],)
    )


def test_a_sweep_is_silent_when_all_its_models_are() -> None:
    """A model that waits for its turn is silent: only all together raise the alarm that somebody is told of."""
    recording = program(workloads__models=FAMILY, spend__budget_usd=40, spend__keep_running=True)
    (both,) = recording.of_type("CompositeAlarm")
    names = [recording.one(f"MetricAlarm dashboard-silent-{word}").inputs["name"] for word in (SMALL, LARGE)]
    void = recording.one(f"MetricAlarm dashboard-void-{LARGE}-tp2").inputs

    assert both.inputs["alarmRule"] == f"ALARM({names[0]}) AND ALARM({names[1]})"
    assert (void["name"], void["dimensions"]) == (f"optimal-tp-dev-void-{LARGE}-tp2", {"Model": "Qwen3-8B TP2"})


def test_models_that_fit_at_once_take_no_turns() -> None:
    """On four nodes each model has one round, and none makes room for another."""
    recording = program(workloads__models=FAMILY, spend__budget_usd=60, infra__neuron__maximum_nodes=4)

    assert [model.rounds for model in order(recording).models] == [((TP1, TP2, TP4),), ((TP2, TP4),)]
    assert not order(recording).makes_room
    assert all(line.endswith("USD of it (0.5 h to measure at most)") for line in recording.outputs["cost"][-2:])


def test_models_from_a_bucket_have_a_folder_each() -> None:
    """Below the prefix, called by the model's slug; one role reads them all."""
    recording = program(workloads__models=FAMILY, spend__budget_usd=40, serving__model_source="s3://models/family/")
    (container,) = recording.one(f"Job artifacts-fetch-{LARGE}").inputs["spec"]["template"]["spec"]["containers"]

    assert container["command"][container["command"].index("--source") + 1] == f"s3://models/family/{LARGE}"
    assert len([each for each in recording.of_type("iam/role:Role") if each.name == "artifacts-fetch-role"]) == 1


def large(name: str, *degrees: int) -> dict[str, typing.Any]:
    """Return an entry of ``models``."""
    return {"model": {"name": name, "revision": "x"}, "degrees": list(degrees)}


PATIENT = {"limits": {"total_latency_ms": {"at_most_ms": 60_000}}}
"""A limit that physics allows a large model."""
REFUSALS: tuple[tuple[str, dict[str, typing.Any], type[Exception], list[str]], ...] = (
    (
        "no model",
        {"workloads__models": []},
        SettingsError,
        ["Pulumi.dev.yaml workloads.models: must be a list of at least one model (got [])"],
    ),
    (
        "the same model twice",
        {"workloads__models": [FAMILY[0], FAMILY[0]]},
        SettingsError,
        [
            (
                "Pulumi.dev.yaml workloads.models[1].model.name: must be another name: the servers of models[0] are "
                "already called qwen3-0-6b (got 'Qwen/Qwen3-0.6B')"
            )
        ],
    ),
    (
        "models that fit no degree",
        {"workloads__models": [{**large("Qwen/Qwen3-14B", 1, 2), **PATIENT}, large("Qwen/Qwen3-32B", 1, 2)]},
        SettingsError,
        [
            (
                "Pulumi.dev.yaml workloads.models[1].degrees: must have at least one candidate that fits; none does "
                "(TP1 "
                "needs 61.06 GiB of the 22.35 GiB of each core: weights 61.02 GiB (the model has 32.76 billion "
                "parameters "
                "of 2 bytes) and KV cache 0.03 GiB (2 x 64 layers x 8 heads x 128 x 128 tokens x 1 sequence x 2 "
                "bytes); "
                "TP2 needs 30.53 GiB of the 22.35 GiB of each core: weights 30.51 GiB (the model has 32.76 billion "
                "parameters of 2 bytes) and KV cache 0.02 GiB (2 x 64 layers x 4 heads x 128 x 128 tokens x 1 "
                "sequence x 2 bytes)) (got [1, 2]); add a degree that fits, lower "
                "workloads.models[1].model.max_model_len_tokens or max_num_seqs, or choose a larger "
                "infra.neuron.instance_type"
            ),
        ],
    ),
    (
        "an owner that is missing",
        {"workloads__models": [large("mine", 2), FAMILY[0]]},
        SettingsError,
        [
            (
                "Pulumi.dev.yaml workloads.models[0].model.name: must be owner/model for a model from a hub, for "
                "example Qwen/Qwen3-0.6B (got 'mine')"
            ),
        ],
    ),
    (
        "one shape for several",
        {"workloads__models": FAMILY, "serving__shape_as": "Qwen/Qwen3-8B"},
        SettingsError,
        [
            (
                "Pulumi.dev.yaml serving.shape_as: must be absent with several models: each model has its own sizes "
                "(got 'Qwen/Qwen3-8B')"
            )
        ],
    ),
    (
        "degrees above the instance",
        {"workloads__models": [large("Qwen/Qwen3-8B", 8), FAMILY[0]]},
        SettingsError,
        [
            (
                "Pulumi.dev.yaml workloads.models[0].degrees: must have at least one candidate that fits; none does "
                "(TP8 needs 8 logical cores on one node, but trn2.3xlarge has 4) (got [8]); add a degree that fits, "
                "lower "
                "workloads.models[0].model.max_model_len_tokens or max_num_seqs, or choose a larger "
                "infra.neuron.instance_type"
            )
        ],
    ),
    (
        "more than the budget",
        {"workloads__models": FAMILY, "spend__budget_usd": 8},
        SettingsError,
        [
            (
                "Pulumi.dev.yaml spend.budget_usd: must cover the expected cost, 17.96 USD (about 4.85 USD an hour "
                "while serving (2 x 2.25 for Neuron), 0.35 USD an hour idle (control plane, system nodes, NAT: an "
                "estimate)) (got 8); raise it or lower workloads.decision.budget_seconds or the number of nodes"
            )
        ],
    ),
)


@pytest.mark.parametrize(
    ("changes", "error", "sentences"), [each[1:] for each in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_refused(changes: dict[str, typing.Any], error: type[Exception], sentences: list[str]) -> None:
    """The preview ends with every bad key at once, at its place in the list of models."""
    with pytest.raises(error) as caught:
        program(**changes)

    assert str(caught.value).splitlines() == sentences
