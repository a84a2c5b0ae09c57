"""The guard's program: when it stops what, and what it leaves alone."""

import collections.abc
import datetime as dt
import pathlib
import sys
import typing

import pytest

from optimal_tp.pods.guard import Guarded, keep, main
from optimal_tp.pods.kubernetes import Namespace
from tests.fakes_kubernetes import FakeCluster, served
from tests.fakes_stack_files import ROOT
from workloads.manifests.bundle import closure, imports, read_sources

DEADLINE = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
TP1, TP4 = (f"/apis/apps/v1/namespaces/optimal-tp/deployments/tp{degree}/scale" for degree in (1, 4))
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
ASKED = f"{CLAIMS}?labelSelector=karpenter.sh%2Fnodepool%3Dneuron"
PODS = "/api/v1/namespaces/optimal-tp/pods"
JOB1, JOB4 = (f"/apis/batch/v1/namespaces/optimal-tp/jobs/tp{degree}-compile" for degree in (1, 4))


def cluster() -> FakeCluster:
    """Return a cluster in which TP1 serves, TP4 has no pod, TP1 is compiled and TP4 is being compiled."""
    return FakeCluster(
        objects={
            TP1: {"spec": {"replicas": 1}},
            TP4: {"spec": {}},
            JOB1: {"spec": {"suspend": False}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}},
            JOB4: {"spec": {"suspend": False}, "status": {"active": 1}},
            ASKED: {"items": []},
        }
    )


def claim(name: str, *, initialised: bool = True, going: bool = False, node: bool = True) -> dict[str, typing.Any]:
    """Return a NodeClaim as Karpenter keeps it; ``node``: it has joined the cluster."""
    state = "True" if initialised else "Unknown"
    return {
        "metadata": {"name": name, **({"deletionTimestamp": "2026-11-24T12:00:00Z"} if going else {})},
        "status": {
            "conditions": [{"type": "Registered", "status": "True"}, {"type": "Initialized", "status": state}],
            **({"nodeName": f"node-of-{name}"} if node else {}),
        },
    }


def pod(on: str, phase: str = "Running") -> dict[str, typing.Any]:
    """Return a pod on the node of the claim ``on``."""
    return {"spec": {"nodeName": f"node-of-{on}"}, "status": {"phase": phase}}


def with_nodes(claims: list[dict[str, typing.Any]], pods: list[dict[str, typing.Any]]) -> FakeCluster:
    """Return the cluster with nodes of our pool."""
    there = cluster()
    there.objects |= {ASKED: {"items": claims}, PODS: {"items": pods}}
    there.objects |= {f"{CLAIMS}/{each['metadata']['name']}": each for each in claims}
    return there


def given_back(there: FakeCluster) -> list[str]:
    """Return the nodes that were deleted, in order."""
    return [path.removeprefix(f"{CLAIMS}/") for method, path in there.asked if method == "DELETE"]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, before_seconds: float) -> None:
        self.time = DEADLINE - dt.timedelta(seconds=before_seconds)

    def now(self) -> dt.datetime:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.time += dt.timedelta(seconds=seconds)


def called(
    api: Namespace,
    before_seconds: float,
    *,
    jobs: tuple[str, ...] = ("tp1-compile", "tp4-compile"),
    clock: Clock | None = None,
) -> tuple[int, list[str], Clock]:
    """Call the guard so long before its deadline; returns the exit status, what it said, and the clock after it."""
    lines: list[str] = []
    clock = clock or Clock(before_seconds)
    guard = Guarded(namespace=api, deployments=("tp1", "tp4"), jobs=jobs, node_pool="neuron", say=lines.append)
    status = keep(guard, DEADLINE, period_seconds=300, now=clock.now, sleep=clock.sleep)
    return status, lines, clock


@pytest.mark.parametrize("before_seconds", [7200, 301], ids=["long before", "until the next call"])
def test_before_the_deadline_nothing_is_touched(tmp_path: pathlib.Path, before_seconds: float) -> None:
    """Not even asked for: a guard that is early has nothing to say to the API server."""
    there = cluster()
    with served(there, tmp_path) as api:
        status, lines, _ = called(api, before_seconds)

    assert (status, there.asked) == (0, [])
    assert lines == [f"{before_seconds / 60:.0f} minutes left until 2026-11-24T12:00:00+00:00"]


@pytest.mark.parametrize("before_seconds", [0, -1, -86400], ids=["at it", "after it", "a day late"])
def test_at_the_deadline_everything_that_runs_is_stopped(tmp_path: pathlib.Path, before_seconds: float) -> None:
    """TP1 has no pod any more and the Job that still compiles is suspended; what has ended is left as it is."""
    there = cluster()
    with served(there, tmp_path) as api:
        status, lines, _ = called(api, before_seconds)

    assert status == 0
    assert there.changed == [JOB4, TP1]
    assert there.objects[TP1] == {"spec": {"replicas": 0}}
    assert there.objects[JOB4]["spec"] == {"suspend": True}
    assert lines == [
        "suspend the Job tp4-compile",
        "stop tp1",
        "nothing runs after the deadline 2026-11-24T12:00:00+00:00",
    ]


def test_a_deadline_between_two_calls_is_waited_for(tmp_path: pathlib.Path) -> None:
    """The call before it sleeps until it is there, so that the period costs nothing."""
    there = cluster()
    with served(there, tmp_path) as api:
        _, _, clock = called(api, 200)

    assert clock.now() == DEADLINE
    assert there.changed == [JOB4, TP1]


def test_a_second_call_changes_nothing(tmp_path: pathlib.Path) -> None:
    """The guard goes on for as long as it is there, and what is stopped stays as it is."""
    there = cluster()
    with served(there, tmp_path) as api:
        called(api, 0)
        there.asked.clear()
        status, _, _ = called(api, -300)

    assert (status, there.changed) == (0, [])


def test_what_is_started_again_after_the_deadline_is_stopped_again(tmp_path: pathlib.Path) -> None:
    """Whoever wants servers after it moves the deadline."""
    there = cluster()
    with served(there, tmp_path) as api:
        called(api, 0)
        there.objects[TP4]["spec"]["replicas"] = 1
        there.asked.clear()
        called(api, -300)

    assert there.changed == [TP4]


def test_what_is_not_there_needs_no_stopping(tmp_path: pathlib.Path) -> None:
    """The guard is made before the first server: at a deadline in the middle of set-up some are missing."""
    there = FakeCluster(objects={JOB1: {"spec": {}, "status": {"active": 1}}, ASKED: {"items": []}})
    with served(there, tmp_path) as api:
        status, _, _ = called(api, 0)

    assert (status, there.changed) == (0, [JOB1])


@pytest.mark.parametrize(("path", "doing"), [(JOB4, "suspend the Job tp4-compile"), (TP1, "stop tp1")])
def test_one_refusal_does_not_save_the_others(tmp_path: pathlib.Path, path: str, doing: str) -> None:
    """What can be stopped is; the call fails, so that it is made again, and says what was refused."""
    there = cluster()
    there.refused = {path}
    with served(there, tmp_path) as api:
        status, lines, _ = called(api, 0)

    assert status == 1
    assert there.changed == [each for each in (JOB4, TP1) if each != path]
    assert (
        lines[-1]
        == f'the Kubernetes API did not {doing}: 403 {{"message": "forbidden"}}; `pulumi up` restores its rights'
    )


def test_at_the_deadline_nodes_that_hold_nothing_go_back(tmp_path: pathlib.Path) -> None:
    """One whose pod runs on waits for it; one that was never initialised goes whatever is on it."""
    claims = [
        claim("empty"),
        claim("ended"),
        claim("serves"),
        claim("tainted", initialised=False),
        claim("launching", initialised=False, node=False),
        claim("leaves", going=True),
    ]
    there = with_nodes(claims, [pod("serves"), pod("ended", "Succeeded"), pod("tainted", "Pending")])
    with served(there, tmp_path) as api:
        status, lines, _ = called(api, 0)

    assert status == 0
    assert given_back(there) == ["empty", "ended", "tainted", "launching"]
    assert lines[-2:] == ["give back the node launching", lines[-1]]


def test_before_the_deadline_no_node_is_looked_at(tmp_path: pathlib.Path) -> None:
    """An empty node may be about to serve."""
    there = with_nodes([claim("empty")], [])
    with served(there, tmp_path) as api:
        called(api, 301)

    assert there.asked == []


def test_servers_are_stopped_before_their_nodes_go(tmp_path: pathlib.Path) -> None:
    """The other way round Karpenter would launch a node again for what still wants one."""
    there = with_nodes([claim("tainted", initialised=False)], [])
    with served(there, tmp_path) as api:
        called(api, 0)

    assert [method for method, _ in there.asked if method != "GET"] == ["PATCH", "PATCH", "DELETE"]


WAITING: typing.Final = {"spec": {}, "status": {"phase": "Pending"}}
"""A pod that has no node yet."""


def test_a_node_stays_until_no_pod_waits_for_one(tmp_path: pathlib.Path) -> None:
    """Karpenter would launch another node for a pod that its controller has not deleted yet."""
    there = with_nodes([claim("tainted", initialised=False)], [WAITING])

    class Deleting(Clock):
        """Time in which the pod's controller deletes it, after three seconds."""

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            assert given_back(there) == []
            if self.now() - DEADLINE >= dt.timedelta(seconds=3):
                there.objects[PODS] = {"items": []}

    with served(there, tmp_path) as api:
        status, _, clock = called(api, 0, clock=Deleting(0))

    assert (status, given_back(there)) == (0, ["tainted"])
    assert clock.now() == DEADLINE + dt.timedelta(seconds=3)


def test_a_pod_that_waits_for_ever_saves_no_node(tmp_path: pathlib.Path) -> None:
    """Half a minute is enough for what is deleted; what goes on waiting is not ours to stop."""
    there = with_nodes([claim("empty")], [WAITING])
    with served(there, tmp_path) as api:
        status, _, clock = called(api, 0)

    assert (status, given_back(there)) == (0, ["empty"])
    assert clock.now() == DEADLINE + dt.timedelta(seconds=30)


def test_a_node_that_may_not_go_fails_the_call(tmp_path: pathlib.Path) -> None:
    """The others go; the refusal is said, and the call is made again."""
    there = with_nodes([claim("first"), claim("second")], [])
    there.refused = {f"{CLAIMS}/first"}
    with served(there, tmp_path) as api:
        status, lines, _ = called(api, 0)

    assert (status, f"{CLAIMS}/second" in there.objects) == (1, False)
    assert lines[-1].startswith("the Kubernetes API did not give back the node first: 403 ")


def test_without_a_look_at_pods_no_node_goes(tmp_path: pathlib.Path) -> None:
    """A node that serves could not be told from one that is empty."""
    there = with_nodes([claim("empty")], [])
    there.refused = {PODS}
    with served(there, tmp_path) as api:
        status, _, _ = called(api, 0)

    assert (status, given_back(there)) == (1, [])


def test_an_api_server_that_is_away_fails_the_call(tmp_path: pathlib.Path) -> None:
    """Never silence: Kubernetes makes the call again."""
    (tmp_path / "token").write_text("secret")
    nowhere = Namespace(url="http://127.0.0.1:1", namespace="n", token_file=tmp_path / "token", certificate=None)
    status, lines, _ = called(nowhere, 0)

    assert status == 1
    assert [line for line in lines if line.startswith("the Kubernetes API at ")] == [
        f"the Kubernetes API at http://127.0.0.1:1 did not {what}: [Errno 111] Connection refused; check that the "
        "cluster is up and that a NetworkPolicy lets this pod reach it"
        for what in (
            "suspend the Job tp1-compile",
            "suspend the Job tp4-compile",
            "stop tp1",
            "stop tp4",
            "list the nodes",
        )
    ]


@pytest.mark.parametrize(
    ("deadline", "what"),
    [
        ([], "error: the following arguments are required: --deadline"),
        (
            ["--deadline", "2026-11-24T12:00:00"],
            "2026-11-24T12:00:00 has no time zone; write it as 2026-07-01T12:00:00+00:00",
        ),
        (["--deadline", "soon"], "argument --deadline: invalid _date value: 'soon'"),
    ],
    ids=["no deadline", "no time zone", "no date"],
)
def test_a_deadline_that_is_none(
    deadline: collections.abc.Sequence[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guard that does not know when refuses to run, and its Job fails for all to see."""
    with pytest.raises(SystemExit) as ended:
        main([*deadline, "--period-seconds", "300", "--node-pool", "neuron"])

    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(what)


def test_outside_a_pod_it_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence and a failure."""
    words = ["--deadline", "2026-11-24T12:00:00+00:00", "--period-seconds", "300", "--node-pool", "neuron"]

    assert main(words) == 1
    assert capsys.readouterr().out == (
        "options that use Kubernetes must run in a pod with a service account: [Errno 2] No such file or directory: "
        "'/var/run/secrets/kubernetes.io/serviceaccount/namespace'; run the command in the cluster or remove these "
        "options\n"
    )


def test_it_needs_the_standard_library_alone() -> None:
    """The image's bare Python runs it: no index of packages has to be there at the deadline."""
    files = closure(read_sources(ROOT), ["optimal_tp.pods.guard"])
    foreign: set[str] = {
        name.split(".")[0]
        for path, text in files.items()
        if path.endswith(".py")
        for name in imports(text)
        if not name.startswith("optimal_tp")
    } - sys.stdlib_module_names

    assert foreign == set()
    assert len(files) < 10


def test_the_patch_is_what_the_api_server_takes(tmp_path: pathlib.Path) -> None:
    """Numbers and truth values, not texts."""
    there = cluster()
    with served(there, tmp_path) as api:
        called(api, 0)
    wanted: tuple[typing.Any, typing.Any] = (0, True)

    assert (there.objects[TP1]["spec"]["replicas"], there.objects[JOB4]["spec"]["suspend"]) == wanted
