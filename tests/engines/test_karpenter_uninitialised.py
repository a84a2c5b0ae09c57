"""Nodes whose startup taint stays: the real Karpenter lets them bill, the guard and the end of their life do not."""

import collections.abc
import contextlib
import copy
import datetime as dt
import functools
import http
import pathlib
import time
import typing

import pytest

from optimal_tp.facts.names import NODE_POOL
from optimal_tp.pods.guard import Guarded, keep
from optimal_tp.pods.kubernetes import Namespace
from tests.engines.fakes_cluster import NAMESPACE, apply_all, manifests, path_of, planned, servers, until
from tests.engines.fakes_engines import CONTROL_PLANE, KARPENTER, needs
from tests.engines.fakes_karpenter import CLAIMS, claims, instances
from tests.engines.fakes_launch import HELD, Launch, launching
from workloads.manifests.guard import GUARD

pytestmark = [pytest.mark.engines, pytest.mark.timeout(400), needs(CONTROL_PLANE, KARPENTER)]

RIGHTS = (
    *("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
    *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
)
STACKS: typing.Final = {"dev": "Pulumi.dev.yaml", "prod": "Pulumi.prod.yaml"}
_SETTLED_SECONDS = 5.0
"""Karpenter decides again a second after the last pod that it cannot place."""
_LIFE_SECONDS = 15


@contextlib.contextmanager
def stuck(folder: pathlib.Path, file: str, life: str | None = None) -> collections.abc.Iterator[Launch]:
    """Have every node of the plan launched and joined, while nobody takes the taint of the file system's driver away.

    ``life``: the pool's expireAfter, where it is not to be the program's.
    """
    with launching(folder, file, reserved=4, infra__neuron__reservation_ids=[HELD]) as running:
        objects = copy.deepcopy([*running.pool(), *servers(running.recording)])
        if life is not None:
            (pool,) = [each for each in objects if each["kind"] == "NodePool"]
            pool["spec"]["template"]["spec"]["expireAfter"] = life
        running.give(objects)
        count = len(planned(running.recording))
        running.decides(count)
        until(lambda: len(instances(running.plane)) == count, "every instance is written down")
        until(functools.partial(_have_joined, running), "every node has joined")
        yield running


def _have_joined(running: Launch) -> bool:
    return all(_state(each, "Registered") == "True" for each in claims(running.plane))


def _state(claim: dict[str, typing.Any], kind: str) -> str | None:
    found = {each["type"]: each["status"] for each in claim["status"]["conditions"]}
    return found.get(kind)


def _may_list(running: Launch, path: str, token: str) -> bool:
    return running.plane.ask("GET", path, token=token)[0] == http.HTTPStatus.OK


def call_guard(running: Launch) -> int:
    """Call the guard at its deadline, with its own rights; returns its exit status."""
    plane = running.plane
    apply_all(plane, [each for each in manifests(running.recording) if each["kind"] in RIGHTS])
    file = plane.folder / "token"
    token = plane.token(NAMESPACE, GUARD)
    file.write_text(token)
    # The API server learns of roles a moment after it has taken them.
    for path in (f"/api/v1/namespaces/{NAMESPACE}/pods", CLAIMS):
        until(functools.partial(_may_list, running, path, token), f"the guard may list {path}")
    guard = Guarded(
        namespace=Namespace(url=plane.url, namespace=NAMESPACE, token_file=file, certificate=plane.certificate),
        deployments=tuple(name for together in planned(running.recording) for name in together),
        jobs=(),
        node_pool=NODE_POOL,
        say=lambda _: None,
    )
    now = dt.datetime.now(dt.UTC)
    return keep(guard, now, period_seconds=300, now=lambda: now, sleep=time.sleep)


@pytest.mark.parametrize("stack", STACKS)
def test_the_guard_gives_back_what_was_never_initialised(tmp_path: pathlib.Path, stack: str) -> None:
    """Its pods gone and its claim deleted, each instance ends, and nothing is launched after it."""
    with stuck(tmp_path, STACKS[stack]) as running:
        before = {_state(each, "Initialized") for each in claims(running.plane)}
        status = call_guard(running)
        until(running.is_empty, "every instance is gone", seconds=150)
        time.sleep(_SETTLED_SECONDS)

        assert before == {"Unknown"}
        assert status == 0
        assert running.is_empty()


def test_without_a_guard_a_node_ends_with_its_life(tmp_path: pathlib.Path) -> None:
    """Whatever it never became: ``expireAfter`` is the one thing that Karpenter ends such a node for by itself."""
    with stuck(tmp_path, STACKS["dev"], life=f"{_LIFE_SECONDS}s") as running:
        for each in servers(running.recording):
            if each["kind"] == "Deployment":
                scale = f"{path_of(each)}/scale"
                running.plane.ask("PATCH", scale, {"spec": {"replicas": 0}}, kind="application/merge-patch+json")
        until(running.is_empty, "every instance is gone", seconds=_LIFE_SECONDS + 150)
        time.sleep(_SETTLED_SECONDS)

        assert running.is_empty()
