"""Several load generators: an Indexed Job and one pod after it, with the least rights, refused where they cannot be."""

import typing

import pytest

from optimal_tp.cluster.order import PodsOrder
from optimal_tp.errors import SettingsError
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_workloads import PROGRAMS, order, program


def spec(kind: str) -> dict[str, typing.Any]:
    """Return the recorded spec of a kind of the load generator."""
    return dict(PROGRAMS["pods"]().one(kind).inputs["spec"])


def test_kubernetes_numbers_the_pods_and_ends_them_together() -> None:
    """An Indexed Job: each pod once, all at the same time, none again, and the other's end with one that fails."""
    job = spec("Job loadgen-job")

    assert (job["completionMode"], job["completions"], job["parallelism"], job["backoffLimit"]) == ("Indexed", 2, 2, 0)
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    assert job["activeDeadlineSeconds"] == 300 + 1800 + 120


def test_one_pod_goes_on_after_the_job() -> None:
    """The Deployment waits for the order's Job by name, and its pods are told from the Job's by a label."""
    after, job = spec("Deployment loadgen-pods"), spec("Job loadgen-job")
    (container,) = after["template"]["spec"]["containers"]

    assert (container["command"][-1], container["args"][-1]) == ("share", "--after")
    assert order(PROGRAMS["pods"]()).pods == PodsOrder(count=2, job="qwen-vllm-loadgen", start_after_seconds=300)
    assert after["selector"]["matchLabels"].items() <= after["template"]["metadata"]["labels"].items()
    assert not after["selector"]["matchLabels"].items() <= job["template"]["metadata"]["labels"].items()


def test_the_pod_that_waits_takes_no_ones_place() -> None:
    """It asks for a tenth of a core; those that make the load for what loadtest.cpu_millicores says."""
    asked = {
        kind: spec(kind)["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        for kind in ("Deployment loadgen-pods", "Job loadgen-job")
    }

    assert asked == {"Deployment loadgen-pods": "100m", "Job loadgen-job": "1000m"}


def test_several_keep_a_receipt_and_end_before_the_money() -> None:
    """Who comes after the Job counts the nodes and waits for their end; each share reads the same order."""
    asked = order(PROGRAMS["pods"]())
    after, share = (
        spec(kind)["template"]["spec"]["containers"][0] for kind in ("Deployment loadgen-pods", "Job loadgen-job")
    )
    mounted = [{mount["mountPath"] for mount in container["volumeMounts"]} for container in (after, share)]

    assert asked.receipt is not None
    assert asked.receipt.node_pool == "neuron-trn-2"
    assert asked.receipt.leave_seconds > 0
    assert str(asked.deadline_file) == "/etc/optimal-tp-deadline/deadline"
    assert [each["args"][:2] for each in (after, share)] == [["--order", "/etc/optimal-tp/order.json"]] * 2
    assert all({"/etc/optimal-tp", "/etc/optimal-tp-deadline"} <= paths for paths in mounted)
    assert "--after" not in share["args"]


def test_several_begin_when_their_servers_are_ready() -> None:
    """Who comes after the Job starts the servers and resumes it; its start is everybody's clock."""
    asked = order(PROGRAMS["pods"]())
    job = PROGRAMS["pods"]().one("Job loadgen-job")

    assert (asked.models[0].rounds, asked.afterwards) == (((TP1, TP2, TP4),), "stop")
    assert (job.inputs["spec"]["suspend"], job.ignored) == (True, ("spec.suspend",))


def test_several_that_probe_for_ever_have_no_deadline() -> None:
    """Nobody ends an endless probe; what it costs is counted all the same."""
    load = {"request_timeout_seconds": 1, "rates_per_second_per_core": [16]}
    asked = order(program(loadtest={"pods": 2}, workloads__load=load, spend__keep_running=True))

    assert (asked.afterwards, asked.deadline_file) == ("probe", None)
    assert asked.receipt is not None
    assert asked.receipt.leave_seconds == 0


def test_more_than_the_system_nodes_hold_end_the_preview() -> None:
    """Two m7i.large hold two; a larger type holds more."""
    load = {"request_timeout_seconds": 1, "rates_per_second_per_core": [16]}
    with pytest.raises(
        SettingsError, match=r"loadtest\.pods: must be at most 2: 2 system nodes have 1930 millicores each for pods"
    ):
        program(loadtest={"pods": 3}, workloads__load=load)

    assert program(
        loadtest={"pods": 3},
        workloads__load=load,
        infra__system_nodes={"instance_type": "m7i.xlarge"},
        infra__prices__system_node={"usd_per_hour": 0.2, "source": "test", "date": "2026-04-01"},
    ).one("Job loadgen-job")


def test_a_drained_node_ends_no_share_and_nothing_is_held_up_later() -> None:
    """Both pods of the Job, and no other: one that has ended may be evicted, and the pod after the Job goes on."""
    budget, job = PROGRAMS["pods"]().one("PodDisruptionBudget loadgen-budget").inputs["spec"], spec("Job loadgen-job")

    assert budget["minAvailable"] == job["completions"] == 2
    assert budget["selector"]["matchLabels"] == job["template"]["metadata"]["labels"]
    assert PROGRAMS["one-each"]().of_type(":PodDisruptionBudget") == []


def test_servers_that_take_turns_cannot_be_shared() -> None:
    """No plan by the clock knows when a server has started."""
    load = {"request_timeout_seconds": 1, "rates_per_second_per_core": [16]}
    with pytest.raises(SettingsError, match=r"loadtest\.pods: must be 1 when servers take turns"):
        program(loadtest={"pods": 2}, workloads__load=load, infra__neuron__maximum_nodes=1)
