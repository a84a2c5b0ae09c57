"""One experiment from `pulumi up` to `destroy`: every candidate ends in a word, also when the conductor is killed.

Real: Pulumi's engine, the API server with its controllers and rights, the conductor's process and its sockets.
Played: AWS, kubelets, Karpenter's launches.
"""

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import typing

import boto3
import pytest
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from optimal_tp.servers.deployment import GENERATOR
from tests.engines import fakes_stack
from tests.engines.fakes_api_server import ControlPlane
from tests.engines.fakes_conductor import BUCKET, PREFIX
from tests.engines.fakes_engines import CONTROL_PLANE, EKS_PLUGIN, PULUMI, needs
from tests.engines.fakes_nodes import Nodes, playing
from tests.engines.fakes_stack import Stack
from tests.engines.test_pulumi import DESTROY, KEPT, UP
from tests.fakes_server import Script, ScriptedServer
from tests.fakes_stack_files import ROOT
from tests.measurement.test_sweep_command import SETTINGS

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900), needs(CONTROL_PLANE, PULUMI, EKS_PLUGIN)]

SPACE = "optimal-tp"
DEGREES = (1, 2, 4)
REFRESH = ("refresh", "--yes", "--skip-preview")
WORKLOADS: dict[str, object] = {
    "workloads.load": SETTINGS["load"],
    "workloads.limits": {"total_latency_ms": {"percentile": 75, "at_most_ms": 600}},
    "workloads.decision": {"minimum_blocks": 4, "maximum_blocks": 8, "budget_seconds": 300, "proof_seconds": 0},
}
"""An experiment of seconds."""
SERVER = Script(model="Qwen/Qwen3-0.6B", ttft_seconds=0.1, gap_seconds=0.01, slots=4)
MOST_PROCESSES = 60
HONEST = (0, 3)
"""Settled, inconclusive."""
VOID = 4
"""Where the conductor is killed all the time beside a control plane, a client may be late, and its turns void."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lived:
    """What one experiment left."""

    up: int
    processes: list[int]
    """Exit statuses of the conductor's processes, one after the other; negative for a signal."""
    words: dict[str, str]
    """By candidate."""
    verdict: dict[str, typing.Any]
    run: dict[str, typing.Any]
    compiled: dict[str, int]
    """Pods that each compile Job had."""
    replicas: dict[str, int]
    """Of every server, after the verdict."""
    receipts: int
    again: dict[str, list[str]]
    """What another ``up`` after the verdict changed."""
    between: list[dict[str, object]]
    """What stood before, and after, `up`, `refresh` and `up` between two processes; empty for one process."""
    updated: list[int]
    """Exit statuses of these three."""
    destroyed: int
    left: set[str]


def conducted(folder: pathlib.Path, *, kills: bool) -> Lived:
    """Go through an experiment whose TP1 does not compile, whose TP4 gets no node and whose TP2 dies once."""
    with contextlib.ExitStack() as running:
        # What moto keeps belongs to this process: another experiment would find the verdict of the one before.
        moto_api_backend.reset()
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        moto.start()
        running.callback(moto.stop)
        aws = _aws(moto)
        plane = running.enter_context(fakes_stack.cluster(folder / "kubernetes"))
        stack = Stack(folder / "stack", plane)
        stack.configure(WORKLOADS)
        nodes = running.enter_context(playing(Nodes(plane, stack.model)))
        nodes.outcomes = {"qwen-vllm-tp1-compile": "fail", "qwen-vllm-tp2": "die once"}
        nodes.without_capacity = {"qwen-vllm-tp4-0"}
        up = stack.pulumi(*UP)
        place = folder / "conductor"
        place.mkdir()
        addresses = {f"qwen-vllm-tp{degree}": running.enter_context(ScriptedServer(SERVER)).url for degree in DEGREES}
        _furnish(place, plane, addresses)
        if kills:
            (place / "kill").touch()
        statuses: list[int] = []
        between: list[dict[str, object]] = []
        updated: list[int] = []
        for status in _processes(place, plane, aws):
            statuses.append(status)
            if status == -signal.SIGKILL and not between and _is_serving(plane):
                between.append(_standing(plane, aws))
                updated = [stack.pulumi(*words).status for words in (UP, REFRESH, UP)]
                between.append(_standing(plane, aws))
        again = stack.pulumi(*UP).changed()
        compiled = {
            each["metadata"]["name"]: each.get("status", {}).get("succeeded", 0)
            + each.get("status", {}).get("failed", 0)
            for each in _jobs(plane)
        }
        replicas = {
            each["metadata"]["name"]: each["spec"]["replicas"]
            for each in _objects(plane, "apps/v1", "deployments")
            if each["metadata"]["name"] != GENERATOR
        }
        destroyed = stack.pulumi(*DESTROY)
        verdict, run = _result(aws, "verdict.json"), _result(aws, "run.json")
        return Lived(
            up=up.status,
            processes=statuses,
            words={f"TP{each['degree']}": each["word"] for each in verdict["verdict"]["degrees"]},
            verdict=verdict,
            run=run,
            compiled=compiled,
            replicas=replicas,
            receipts=len([key for key in _keys(aws) if key.endswith("receipt.json")]),
            again=again,
            between=between,
            updated=updated,
            destroyed=destroyed.status,
            left={str(each) for each in stack.world().things.values()},
        )


def _aws(moto: ThreadedMotoServer) -> dict[str, str]:
    host, port = moto.get_host_and_port()
    found = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "loopback",
        "AWS_SECRET_ACCESS_KEY": "loopback",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    _s3(found).create_bucket(Bucket=BUCKET)
    return found


def _s3(aws: dict[str, str]) -> typing.Any:
    return boto3.client(
        "s3",
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        aws_access_key_id="loopback",
        aws_secret_access_key="loopback",  # noqa: S106 - moto asks for some
        region_name="us-east-1",
    )


def _keys(aws: dict[str, str]) -> list[str]:
    return [each["Key"] for each in _s3(aws).list_objects_v2(Bucket=BUCKET).get("Contents", ())]


def _result(aws: dict[str, str], name: str) -> dict[str, typing.Any]:
    (key,) = [key for key in _keys(aws) if key.endswith(f"/{name}")]
    found: dict[str, typing.Any] = json.loads(_s3(aws).get_object(Bucket=BUCKET, Key=key)["Body"].read())
    return found


def _objects(plane: ControlPlane, group: str, plural: str) -> list[dict[str, typing.Any]]:
    root = "/api/v1" if group == "v1" else f"/apis/{group}"
    items: list[dict[str, typing.Any]] = plane.ask("GET", f"{root}/namespaces/{SPACE}/{plural}")[1]["items"]
    return items


def _jobs(plane: ControlPlane) -> list[dict[str, typing.Any]]:
    """Return the Jobs of the experiment: the guard's CronJob makes Jobs of its own meanwhile."""
    return [
        each
        for each in _objects(plane, "batch/v1", "jobs")
        if all(owner["kind"] != "CronJob" for owner in each["metadata"].get("ownerReferences", ()))
    ]


def _is_serving(plane: ControlPlane) -> bool:
    servers = [each for each in _objects(plane, "apps/v1", "deployments") if each["metadata"]["name"] != GENERATOR]
    return any(each["spec"]["replicas"] for each in servers)


def _standing(plane: ControlPlane, aws: dict[str, str]) -> dict[str, object]:
    """Return what an experiment has done so far to Jobs and servers, and what it has kept in the bucket."""
    found: dict[str, object] = {
        f"{plural} {each['metadata']['name']}": (
            each["metadata"]["generation"],
            each["spec"].get("replicas"),
            each["spec"].get("suspend"),
        )
        for plural, items in (("jobs", _jobs(plane)), ("deployments", _objects(plane, "apps/v1", "deployments")))
        for each in items
    }
    kept = _s3(aws).list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return found | {each["Key"]: each["ETag"] for each in kept}


def _furnish(place: pathlib.Path, plane: ControlPlane, addresses: dict[str, str]) -> None:
    """Put into ``place`` what a pod finds: the program's own order, with other addresses and less patience."""
    (order,) = [
        json.loads(each["data"]["order.json"])
        for each in _objects(plane, "v1", "configmaps")
        if "order.json" in each.get("data", {})
    ]
    for model in order["models"]:
        model["targets"] = {degree: [addresses[f"qwen-vllm-tp{degree}"]] for degree in model["targets"]}
    order |= {"results": f"s3://{BUCKET}/{PREFIX}", "publish": False}
    order["patience"] = {"capacity_seconds": 30, "compile_seconds": 60, "start_seconds": 60}
    order["receipt"]["leave_seconds"] = 1
    order["deadline_file"] = str(place / "deadline")
    (place / "deadline").write_text("2099-01-01T00:00:00+00:00")
    (place / "order.json").write_text(json.dumps(order))
    (place / "servers.json").write_text(json.dumps(addresses))
    account = place / "account"
    account.mkdir()
    (account / "namespace").write_text(SPACE)
    (account / "token").write_text(plane.token(SPACE, GENERATOR))
    (account / "ca.crt").write_bytes(plane.certificate.read_bytes())


def _processes(place: pathlib.Path, plane: ControlPlane, aws: dict[str, str]) -> collections.abc.Iterator[int]:
    """Run the conductor until it comes to its end by itself; yields how each process ended."""
    host, _, port = plane.url.removeprefix("https://").partition(":")
    environment = {
        **os.environ,
        **aws,
        "PYTHONPATH": str(ROOT),
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
    }
    for _ in range(MOST_PROCESSES):
        with (place / "log").open("ab") as log:
            done = subprocess.run(
                [sys.executable, "-m", "tests.engines.fakes_conductor", str(place)],
                env=environment,
                stdout=log,
                stderr=log,
                check=False,
                timeout=300,
            )
        yield done.returncode
        if done.returncode != -signal.SIGKILL:
            return


@pytest.fixture(scope="module", params=[False, True], ids=["undisturbed", "killed"])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Return what an experiment left, its conductor undisturbed or killed after every change that it makes."""
    found = conducted(tmp_path_factory.mktemp("conducted"), kills=request.param)
    assert (len(found.processes) > 1) == request.param
    return found


def test_every_candidate_ends_in_a_word_and_the_rest_is_measured(lived: Lived) -> None:
    """`up` succeeds; what fails says why, with minutes and dollars; what dies once is measured and chosen."""
    why = {f"TP{each['degree']}": each["ground"]["sentence"] for each in lived.verdict["verdict"]["degrees"]}

    assert lived.up == 0
    assert lived.processes[-1] in (HONEST if len(lived.processes) == 1 else (*HONEST, VOID)), lived.processes
    assert {name: word for name, word in lived.words.items() if name != "TP2"} == {
        "TP1": "no-compile",
        "TP4": "no-capacity",
    }
    assert lived.words["TP2"] in ("chosen", "inconclusive", "invalid")
    assert any(turn["degree"] == 2 and turn["stage"] == "block" for turn in lived.run["turns"])
    assert "its compile Job failed" in why["TP1"]
    assert "$" in why["TP1"]
    assert "had no node" in why["TP4"]


def test_nothing_is_done_twice_for_money(lived: Lived) -> None:
    """TP1's Job has its two tries, the others one; no whole turn is on record twice."""
    turns = [
        (turn["stage"], turn["block"], turn["rate_per_second"], turn["concurrency"], turn["server_start"])
        for turn in lived.run["turns"]
        if turn["stage"] in ("block", "held_out", "idle")
    ]

    assert lived.compiled == {
        "qwen-vllm-fetch": 1,
        "qwen-vllm-tp1-compile": 2,
        "qwen-vllm-tp2-compile": 1,
        "qwen-vllm-tp4-compile": 1,
    }
    assert len(turns) == len(set(turns))


def test_an_up_in_the_middle_changes_nothing(lived: Lived) -> None:
    """Neither it nor a refresh undoes what the conductor did to Jobs and servers, or touches the turns."""
    if len(lived.processes) == 1:
        assert lived.between == []
        return
    before, after = lived.between

    assert lived.updated == [0, 0, 0]
    assert after == before


def test_it_stops_what_it_started_and_leaves_a_receipt(lived: Lived) -> None:
    """After the verdict no server has a pod; another `up` starts none; `destroy` leaves the results alone."""
    assert set(lived.replicas.values()) == {0}
    assert lived.receipts >= 1
    assert lived.again == {}
    assert lived.destroyed == 0
    assert lived.left == KEPT
