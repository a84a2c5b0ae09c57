"""What the stack file is refused for: each case changes ``Pulumi.dev.yaml``, and the program's own parsers read it."""

import contextlib
import pathlib
import typing
import unittest.mock

import pulumi

from optimal_tp.cli.leftovers import stack_scope
from optimal_tp.plan.feasibility import feasible_plan
from optimal_tp.settings import seats
from optimal_tp.settings.infra import parse_infra
from optimal_tp.settings.sections import parse_spend
from optimal_tp.settings.stack_file import parse_cluster
from tests.fakes_messages.told import Case
from tests.fakes_pulumi import run_main
from tests.fakes_workloads import EXISTING, FAMILY, changed
from workloads import guard

FILE: typing.Final = "Pulumi.dev.yaml"

INFRA: typing.Final[tuple[dict[str, object], ...]] = (
    {"infra__networks": {}},
    {"infra__neuron": {"zones": ["ap-southeast-4c"]}},
    {"infra__neuron__maximum_nodes": "two"},
    {"infra__neuron__instance_type": "trn1.2xlarge"},
    {"infra__network__cidr": "ten"},
    {"infra__network__cidr": "10.0.0.0/8"},
    {
        "infra__network": {
            "nat_gateways": "per-zone",
            "existing": {"vpc_id": "vpc-0", "private_subnet_ids": {"ap-southeast-4c": "subnet-0"}},
        }
    },
    {"infra__network": {"existing": {"vpc_id": "vpc-0", "private_subnet_ids": {"ap-southeast-4c": "subnet-0"}}}},
    {"infra__control_plane__public_access_cidrs": ["the office"]},
    {"infra__control_plane__public_access_cidrs": ["0.0.0.0/0"]},
    {"infra__zones": ["ap-southeast-4c"]},
    {"infra__zones": ["ap-southeast-4c", "us-east-2a"]},
    {"infra__tags": {"karpenter.sh/owner": "me"}},
    {"infra__system_nodes__instance_type": "m7i.2xlarge", "infra__prices": {}},
    {"infra__kubernetes": "1.36"},
    {"infra__neuron__zones": ["ap-southeast-4b"]},
    {"infra__neuron__instance_type": "trn2.48xlarge"},
    {"infra__existing": {**EXISTING, "context": None}},
    {"infra__existing": EXISTING},
    {"infra__neuron__ami_release": "v20260923"},
    {"infra__neuron__zones": ["ap-southeast-4c", "ap-southeast-4c"]},
    {"infra__neuron__capacity_types": []},
    {"infra__neuron__capacity_types": ["on-demand"]},
)

EXPERIMENT: typing.Final[tuple[dict[str, object], ...]] = (
    {"workloads__degrees": [3]},
    {"workloads__degrees": [2, 1]},
    {"workloads__load": {"concurrency": [4, 1]}},
    {"workloads__load": {"rate_per_second": 5}},
    {"workloads__load": {"prompt": "file"}},
    {"workloads__load": {"prompt_tokens": 100}},
    {"workloads__decision": {"minimum_blocks": 10, "maximum_blocks": 5}},
    {"serving__namespace": "kube-system"},
    {"serving__equal_cores": 4},
    {"serving__shape_as": "Qwen/Qwen4"},
    {"workloads__price": {"usd_per_hour": 2, "billed_cores": 4, "source": "a guess", "date": "2026-10-01"}},
    {"workloads__model": {"name": "mine", "revision": "v1"}},
    {"workloads__models": [{"model": {"name": "me/a", "revision": "1"}}, {"model": {"name": "Qwen/Qwen3-0.6B"}}]},
    {"serving": {"layout": "equal-cores", "equal_cores": 6}},
    {"serving__model_source": "s3://ours/models", "loadtest__results__bucket": "ours"},
    {"workloads__models": FAMILY, "serving__shape_as": "Qwen/Qwen3-0.6B"},
    {"workloads__models": FAMILY, "loadtest__pods": 2},
    {"loadtest__pods": 2, "workloads__load": {"arrivals": "poisson"}},
    {"loadtest__pods": 2, "workloads__decision": {"budget_seconds": 100}},
    {"workloads__models": []},
    {"workloads__models": [{"model": {"name": "me/other"}}]},
    {
        "workloads__models": [
            {"model": {"name": "Qwen/Qwen3-0.6B"}},
            {"model": {"name": "me/qwen3-0.6b", "revision": "1"}},
        ]
    },
    {
        "workloads__models": [
            {"model": {"name": "Qwen/Qwen3-0.6B"}},
            {"model": {"name": "me/" + "long" * 9, "revision": "1"}},
        ]
    },
    {"workloads__models": [{"model": {"name": "Qwen/Qwen3-0.6B"}, "degrees": [5]}]},
    {"workloads__models": [{"model": {"name": "Qwen/Qwen3-0.6B"}, "degree": [4]}]},
    {"spend__budget_usd": 0},
)

PLAN: typing.Final[tuple[dict[str, object], ...]] = (
    {"workloads__model": {"name": "Qwen/Qwen3-32B", "revision": "1", "max_model_len_tokens": 32768}},
    {"workloads__degrees": [1, 8]},
    {"infra__neuron__maximum_nodes": 1, "serving__when_nodes_are_few": "refuse"},
    {"infra__neuron__maximum_nodes": 1, "serving": {"layout": "equal-cores", "equal_cores": 8}},
    {"workloads__models": FAMILY, "infra__neuron__maximum_nodes": 1, "serving__when_nodes_are_few": "refuse"},
    {
        "workloads__models": [{**each, "degrees": [4]} for each in FAMILY],
        "infra__neuron__maximum_nodes": 1,
        "serving__when_nodes_are_few": "refuse",
    },
    {"loadtest__pods": 2, "workloads__load": {"request_timeout_seconds": 1}, "infra__neuron__maximum_nodes": 1},
    {"loadtest__pods": 5, "workloads__load": {"request_timeout_seconds": 1}},
    {"serving__shared_memory_gib": 64},
)

PROGRAM: typing.Final[tuple[dict[str, object], ...]] = ({"spend__budget_usd": 1},)

WARNED: typing.Final[dict[str, object]] = {
    "loadtest__pods": 2,
    "workloads__load": {
        "arrivals": "constant",
        "rate_per_second": 20000,
        "request_timeout_seconds": 1,
        "block_seconds": 5,
        "step_seconds": 5,
    },
}
"""A load above what two load generators can produce."""


def parsed(changes: dict[str, object]) -> None:
    """Read the stack file with ``changes`` as the program does, one section after the other."""
    config = changed(FILE, **changes)
    parse_infra(config["optimal-tp:infra"], file=FILE)
    parse_spend(config["optimal-tp:spend"], file=FILE)
    parse_cluster({name: config.get(f"optimal-tp:{name}") for name in ("workloads", "serving", "loadtest")}, file=FILE)


def planned(changes: dict[str, object]) -> None:
    """Plan the stack file's servers with ``changes`` as the program does."""
    config = changed(FILE, **changes)
    infra = parse_infra(config["optimal-tp:infra"], file=FILE)
    sections = {name: config.get(f"optimal-tp:{name}") for name in ("workloads", "serving", "loadtest")}
    beside = seats.system_node_vcpus(infra)
    most = infra.neuron.maximum_nodes
    settings = parse_cluster(sections, file=FILE)
    feasible_plan(settings, infra.neuron.hardware, maximum_nodes=most, file=FILE, system_vcpus=beside)


def elsewhere() -> None:
    """Run the program where AWS is called in another region than the zones lie in."""
    run_main({**changed(FILE), "aws:region": "us-east-2"})


def warned() -> str:
    """Return what the program warns of, which goes on."""
    said: list[str] = []
    with unittest.mock.patch.object(pulumi.log, "warn", said.append):
        run_main(changed(FILE, **WARNED, spend__budget_usd=100))
    return "\n".join(said)


def file_of_stack(folder: pathlib.Path, content: str | None) -> None:
    """Ask for a stack file that is not there, or holds ``content``."""
    if content is not None:
        (folder / "Pulumi.dev.yaml").write_text(content, encoding="utf-8")
    with contextlib.chdir(folder):
        stack_scope("dev")


def clockless() -> None:
    """Let the API server make the guard's clock without a date, outside of a preview."""
    with unittest.mock.patch.object(pulumi.runtime, "is_dry_run", return_value=False):
        guard._moment(None, 60)


CASES: typing.Final[tuple[Case, ...]] = (
    *(lambda _, changes=changes: parsed(changes) for changes in (*INFRA, *EXPERIMENT)),
    *(lambda _, changes=changes: planned(changes) for changes in PLAN),
    *(lambda _, changes=changes: run_main(changed(FILE, **changes)) for changes in PROGRAM),
    lambda _: elsewhere(),
    lambda _: warned(),
    lambda folder: file_of_stack(folder, None),
    lambda folder: file_of_stack(folder, "config: ["),
    lambda folder: file_of_stack(folder, "config: {}"),
    lambda _: clockless(),
)
