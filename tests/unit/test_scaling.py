"""Servers that take turns."""

import asyncio
import collections.abc
import json
import pathlib
import typing

import pytest

from optimal_tp.cluster.scaling import Deployments, Rota
from optimal_tp.errors import ServerFailed
from optimal_tp.plan.timetable import Rounds
from optimal_tp.pods.kubernetes import Namespace, own_namespace
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_http import Answering, listening
from tests.fakes_kubernetes import FakeDeployments
from tests.fakes_samples import whole

ROUNDS: Rounds = ((TP1, TP2), (TP4,))


class Cluster(Answering):
    """An API server and the vLLM servers behind it, as far as turns need them, on one port of loopback."""

    replicas: typing.ClassVar[dict[str, int]] = {}
    asked: typing.ClassVar[list[tuple[str, str, str]]] = []
    refuses: typing.ClassVar[bool] = False
    ailing: typing.ClassVar[bool] = False

    def answer(self, method: str) -> None:
        """Scale a Deployment, or refuse; be healthy, or not."""
        if method == "GET":
            self.tell(503 if self.ailing else 200)
            return
        body = json.loads(self.content())
        name = self.path.split("/")[-2]
        self.asked.append((self.path, self.headers["authorization"], self.headers["content-type"]))
        if self.refuses:
            self.tell(403, b'{"message": "forbidden"}')
            return
        self.replicas[name] = body["spec"]["replicas"]
        self.tell(200, b"{}")


@pytest.fixture
def api(tmp_path: pathlib.Path) -> collections.abc.Iterator[Deployments]:
    """Return the scale subresource of a cluster on loopback."""
    Cluster.replicas.clear()
    Cluster.asked.clear()
    Cluster.refuses = Cluster.ailing = False
    (tmp_path / "token").write_text("secret\n")
    with listening(Cluster) as url:
        yield Deployments(
            namespace=Namespace(url=url, namespace="optimal-tp", token_file=tmp_path / "token", certificate=None)
        )


class Recorder(Deployments):
    """Passes every order on, and keeps it with the state that it was given in."""

    def __init__(self, inner: Deployments) -> None:
        super().__init__(namespace=inner.namespace)
        self.orders: list[tuple[str, int]] = []

    def scale(self, name: str, replicas: int) -> None:
        """Scale."""
        self.orders.append((name, replicas))
        super().scale(name, replicas)


def rota(api: Deployments, scaler: Recorder | None = None, *, timeout_seconds: float = 5) -> Rota:
    """Return a rota whose servers all answer at the cluster on loopback."""
    return Rota(
        rounds=ROUNDS,
        targets=dict.fromkeys((TP1, TP2, TP4), (api.namespace.url,)),
        names={TP1: ("tp1-0", "tp1-1"), TP2: ("tp2",), TP4: ("tp4",)},
        scaler=scaler or api,
        ready_timeout_seconds=timeout_seconds,
        stop=asyncio.Event(),
    )


def test_scaling_is_one_patch_with_the_pods_own_token(api: Deployments) -> None:
    """The scale subresource of one Deployment of the namespace, as a merge patch."""
    api.scale("qwen-vllm-tp4", 1)

    assert Cluster.asked == [
        (
            "/apis/apps/v1/namespaces/optimal-tp/deployments/qwen-vllm-tp4/scale",
            "Bearer secret",
            "application/merge-patch+json",
        )
    ]
    assert Cluster.replicas == {"qwen-vllm-tp4": 1}


def test_a_refusal_says_what_the_api_server_said(api: Deployments) -> None:
    """Without the right to scale, the reason is in the sentence."""
    Cluster.refuses = True

    with pytest.raises(ServerFailed, match=r"did not scale qwen-vllm-tp4 to 1: 403 .*forbidden"):
        api.scale("qwen-vllm-tp4", 1)


def test_nobody_answers(tmp_path: pathlib.Path) -> None:
    """An API server that cannot be reached is one clear sentence."""
    (tmp_path / "token").write_text("secret")
    nowhere = Deployments(
        namespace=Namespace(url="http://127.0.0.1:1", namespace="n", token_file=tmp_path / "token", certificate=None)
    )

    with pytest.raises(ServerFailed, match=r"the Kubernetes API at http://127\.0\.0\.1:1 did not scale tp1 to 1: "):
        nowhere.scale("tp1", 1)


def test_outside_a_pod_there_is_no_account(tmp_path: pathlib.Path) -> None:
    """The sentence says what is missing."""
    with pytest.raises(ServerFailed, match="what is asked of Kubernetes needs a pod with a service account: "):
        own_namespace(tmp_path)


def test_inside_a_pod_everything_is_read_from_its_account(tmp_path: pathlib.Path) -> None:
    """Namespace, token and certificate are where Kubernetes puts them."""
    for name in ("namespace", "token", "ca.crt"):
        (tmp_path / name).write_text(f"{name}\n")
    found = own_namespace(tmp_path)

    assert (found.namespace, found.token_file, found.certificate) == (
        "namespace",
        tmp_path / "token",
        tmp_path / "ca.crt",
    )


def test_stopping_all_goes_on_where_one_is_refused(api: Deployments) -> None:
    """Every server is asked to stop, those of a sweep's other models too, and all that refused are named."""
    arena = rota(api)
    arena.others = ("other-tp2",)
    asyncio.run(arena.stop_all())
    stopped = dict(Cluster.replicas)
    Cluster.refuses = True

    assert stopped == {"tp1-0": 0, "tp1-1": 0, "tp2": 0, "tp4": 0, "other-tp2": 0}
    with pytest.raises(ServerFailed) as refused:
        asyncio.run(arena.stop_all())
    assert [name for name in stopped if f"did not scale {name} to 0: 403" in str(refused.value)] == [*stopped]


def test_every_server_is_stopped_whatever_became_of_another(api: Deployments) -> None:
    """One that cannot be stopped is told, after all others were."""
    scaler = FakeDeployments("tp2")
    arena = rota(api)
    arena.scaler = scaler
    with pytest.raises(ServerFailed, match=whole("no right to tp2")):
        asyncio.run(arena.stop_all())

    assert scaler.orders == [("tp1-0", 0), ("tp1-1", 0), ("tp4", 0)]


@pytest.mark.parametrize("makes_room", [True, False])
def test_other_models_make_room_where_they_must(api: Deployments, *, makes_room: bool) -> None:
    """Their servers are stopped first where their cores are needed, and left alone where all run together."""
    arena = rota(api)
    arena.others, arena.makes_room = ("other-tp2",), makes_room
    asyncio.run(arena.admit(TP4))

    assert ("other-tp2" in Cluster.replicas) is makes_room


def test_a_turn_stops_the_others_first(api: Deployments) -> None:
    """The others' cores are what the next round waits for; within a round nothing is done."""
    scaler = Recorder(api)
    arena = rota(api, scaler)

    async def turns() -> None:
        for candidate in (TP1, TP2, TP4, TP4, TP2):
            await arena.admit(candidate)

    asyncio.run(turns())

    assert scaler.orders == [
        *[("tp4", 0), ("tp1-0", 1), ("tp1-1", 1), ("tp2", 1)],
        *[("tp1-0", 0), ("tp1-1", 0), ("tp2", 0), ("tp4", 1)],
        *[("tp4", 0), ("tp1-0", 1), ("tp1-1", 1), ("tp2", 1)],
    ]
    assert arena.failure() is None


def test_a_server_that_does_not_come_ends_the_run(api: Deployments) -> None:
    """The failure names who did not answer and for how long."""
    Cluster.ailing = True
    arena = rota(api, timeout_seconds=0.01)
    asyncio.run(arena.admit(TP4))

    assert arena.failure() == f"after 0.01 s of its turn no answer from {arena.targets[TP4][0]}"


def test_a_refused_turn_ends_the_run(api: Deployments) -> None:
    """The failure is what the API server said, and nothing more is tried."""
    Cluster.refuses = True
    scaler = Recorder(api)
    arena = rota(api, scaler)
    asyncio.run(arena.admit(TP1))
    asyncio.run(arena.admit(TP4))

    assert "did not scale tp4 to 0: 403" in str(arena.failure())
    assert len(scaler.orders) == 1
