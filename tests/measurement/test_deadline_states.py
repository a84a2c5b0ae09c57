"""The deadline in the middle of every state of a conducted run, with its load generator there and with it gone."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import datetime as dt
import functools
import json
import pathlib
import typing
import urllib.parse

import pytest
from rich.console import Console

from optimal_tp.cluster import accounting, assembly
from optimal_tp.cluster.assembly import Assembly
from optimal_tp.cluster.conductor import Conductor
from optimal_tp.cluster.deadline import MARGIN_SECONDS, within_budget
from optimal_tp.cluster.ground import ClusterGround
from optimal_tp.cluster.order import Order
from optimal_tp.errors import Interrupted
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement import audit
from optimal_tp.measurement.run import decode_run
from optimal_tp.pods.guard import Guarded, keep
from optimal_tp.report import files
from optimal_tp.settings.parser import parse
from optimal_tp.telemetry.console import PlainWatcher
from tests.fakes_cluster_life import LiveCluster, LiveJob, Script, node
from tests.fakes_server import Script as ServerScript
from tests.fakes_server import ScriptedServer
from tests.measurement.test_sweep_command import SETTINGS

pytestmark = pytest.mark.timeout(120)

SERVERS = ("tp1", "tp2")
COMPILE_JOBS = tuple(f"{name}-compile" for name in SERVERS)
EXPERIMENT = {
    "model": {"name": "me/small", "revision": "none"},
    "degrees": SETTINGS["degrees"],
    "load": SETTINGS["load"],
    "price": {"usd_per_hour": 3.6, "billed_cores": 4, "source": "a test", "date": "2026-10-03"},
    # No verdict before the servers are restarted, which is before the fifth block.
    "decision": {"minimum_blocks": 8, "maximum_blocks": 8, "budget_seconds": 100, "proof_seconds": 0},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """A state of the run."""

    words: str
    """What ``watch`` shows in it, or the last thing that the load generator did to the cluster before it waits."""
    holds: tuple[str, ...]
    """Jobs and servers that run in it, by name."""
    detail: str
    """How the sentence begins that a run ends with whose money ends in it."""
    blocks: int = 0
    """Whole blocks that were measured before."""


_STAGED = "the budget ended while {} (spend.budget_usd)"
_LOADED = "the budget ends at 20"
STATES: typing.Final = {
    "fetching": State(
        words="the model is being fetched", holds=("fetch",), detail=_STAGED.format("the model was being fetched")
    ),
    "compiling": State(
        words="TP1 compiles; TP2 compiles", holds=COMPILE_JOBS, detail=_STAGED.format("TP1 and TP2 were compiling")
    ),
    "starting": State(words="TP1 loads; TP2 loads", holds=SERVERS, detail=_STAGED.format("TP1 and TP2 were starting")),
    "warm": State(words="TP1 alone, one request at a time", holds=SERVERS, detail=_LOADED),
    "measuring": State(words="block 2", holds=SERVERS, detail=_LOADED, blocks=2),
    "stopped": State(words="scale tp2 to 0", holds=(), detail=_LOADED, blocks=4),
}


def running(cluster: LiveCluster) -> tuple[str, ...]:
    """Return the Jobs and servers that have pods or get them, by name."""
    ended = {pod.label[1] for pod in cluster.pods if not pod.serves and pod.has_ended(cluster.now())}
    jobs = (name for name, job in cluster.jobs.items() if not job.suspended and name not in ended)
    return tuple(sorted((*jobs, *(name for name, pods in cluster.replicas.items() if pods))))


class Moment(PlainWatcher):
    """Does ``act`` as soon as the run is in ``state``; the cluster's time stands still from then on."""

    def __init__(self, cluster: LiveCluster, state: State, act: collections.abc.Callable[[], object]) -> None:
        """Write nowhere."""
        super().__init__(Console(quiet=True))
        self._cluster, self._state, self._act = cluster, state, act
        self.held: tuple[str, ...] | None = None
        """What ran at that moment; None before."""

    def stage(self, name: str, *, total: float | None) -> None:  # noqa: ARG002 - the protocol's
        """See what begins."""
        self._see(name)

    def advance(self, detail: str, *, done: float) -> None:  # noqa: ARG002 - the protocol's
        """See how far it is."""
        self._see(detail)

    async def wait(self, stop: asyncio.Event, seconds: float) -> None:
        """Let the cluster's time go on; after the moment wait for the end."""
        self._see(next(reversed(self._cluster.acts), ""))
        if self.held is not None:
            await stop.wait()
        self._cluster.time[0] += dt.timedelta(seconds=seconds)
        await asyncio.sleep(0)

    def _see(self, words: str) -> None:
        if words == self._state.words and self.held is None:
            self.held = running(self._cluster)
            self._act()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conducted:
    """A run's order, and the cluster that it is conducted in."""

    order: Order
    cluster: LiveCluster
    deadline: pathlib.Path
    """The file."""
    monkeypatch: pytest.MonkeyPatch

    def lived(self, state: State, how: typing.Literal["money", "evicted"]) -> tuple[int | None, Moment]:
        """Live the run until it is in ``state``: the money ends then, or the load generator's pod is put out.

        Returns the exit status, None where there is none.
        """

        async def live() -> tuple[int | None, Moment]:
            halt = Halt(event=asyncio.Event())
            evict = functools.partial(halt.set, "interrupted", "SIGTERM ended the run")
            moment = Moment(self.cluster, state, self.end_money if how == "money" else evict)
            conductor = functools.partial(Conductor, wait=moment.wait, healthy=self.healthy, look_seconds=30.0)
            self.monkeypatch.setattr(assembly, "Conductor", conductor)
            status: int | None = None
            with contextlib.suppress(Interrupted):
                status = await Assembly(order=self.order, watching=moment, halt=halt).run()
            return status, moment

        return asyncio.run(live())

    async def healthy(self, url: str) -> bool:
        """Whether the pod whose server answers at ``url`` is ready."""
        (name,) = assembly.deployments([url])
        return await self.cluster.healthy(f"http://{name}")

    def end_money(self) -> None:
        """Let the deadline be as near as a run ends before it."""
        deadline = self.cluster.now() + dt.timedelta(seconds=MARGIN_SECONDS)
        self.deadline.write_text(deadline.isoformat(), encoding="utf-8")

    def guarded(self) -> int:
        """Call the guard at its deadline, a minute from now; return its exit status."""
        self.cluster.time[0] += dt.timedelta(seconds=MARGIN_SECONDS)
        guard = Guarded(
            namespace=self.cluster,
            deployments=SERVERS,
            jobs=COMPILE_JOBS,
            node_pool="neuron",
            say=lambda _line: None,
        )
        return keep(guard, self.cluster.now(), period_seconds=300, now=self.cluster.now, sleep=lambda _seconds: None)


@pytest.fixture
def conducted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> collections.abc.Iterator[Conducted]:
    """Yield a run of two candidates with everything before them, and a node that Karpenter does not take back."""
    began = dt.datetime.now(dt.UTC)
    cluster = LiveCluster(
        jobs={name: LiveJob(script=Script()) for name in ("fetch", *COMPILE_JOBS)},
        servers={name: [Script()] for name in SERVERS},
        claims={"node-a": node("node-a", launched=began)},
        time=[began],
    )
    with contextlib.ExitStack() as serving:
        script = ServerScript(model="me/small", ttft_seconds=0.01, gap_seconds=0.01, slots=1)
        urls = {name: serving.enter_context(ScriptedServer(script)).url for name in SERVERS}
        names = {urllib.parse.urlsplit(url).port: name for name, url in urls.items()}
        for module in (assembly, accounting):
            monkeypatch.setattr(module, "own_namespace", lambda: cluster)
        monkeypatch.setattr(
            assembly, "deployments", lambda each: tuple(names[urllib.parse.urlsplit(url).port] for url in each)
        )
        monkeypatch.setattr(assembly, "ClusterGround", functools.partial(ClusterGround, now=cluster.now))
        clocked = functools.partial(within_budget, look_seconds=0.001, now=cluster.now)
        monkeypatch.setattr(assembly, "within_budget", clocked)
        monkeypatch.setattr(assembly, "until_signalled", lambda _halt: asyncio.sleep(0))
        monkeypatch.setattr(files, "plots", lambda _analysis: ())
        # What is tested is the end, not how much this machine has to spare.
        monkeypatch.setattr(audit, "LATENESS_FLOOR_MS", 100.0)
        deadline = tmp_path / "deadline"
        deadline.write_text((began + dt.timedelta(hours=10)).isoformat(), encoding="utf-8")
        asked = {
            "models": [
                {
                    "settings": EXPERIMENT,
                    "targets": {str(degree): [urls[f"tp{degree}"]] for degree in (1, 2)},
                    "rounds": [["1", "2"]],
                    "jobs": {"fetch": "fetch", "compile": {"1": "tp1-compile", "2": "tp2-compile"}},
                }
            ],
            "results": str(tmp_path / "out"),
            "afterwards": "stop",
            "deadline_file": str(deadline),
            "receipt": {"node_pool": "neuron"},
            "patience": {"capacity_seconds": 900, "compile_seconds": 5100, "start_seconds": 1800},
        }
        order = parse(Order, asked, where="", file="test")
        yield Conducted(order=order, cluster=cluster, deadline=deadline, monkeypatch=monkeypatch)


@pytest.mark.parametrize("name", STATES)
def test_the_money_ends_a_run_in_any_state(conducted: Conducted, tmp_path: pathlib.Path, name: str) -> None:
    """Nothing runs on, a verdict is given on what was measured, nobody has an undeserved word, and the node goes."""
    state, cluster = STATES[name], conducted.cluster
    status, moment = conducted.lived(state, "money")
    left = running(cluster)
    (folder,) = (tmp_path / "out").iterdir()
    record = decode_run((folder / "run.json").read_text())
    verdict = json.loads((folder / "verdict.json").read_text())["verdict"]
    blocks = {turn.block for turn in record.turns if turn.stage == "block" and not turn.cut_short}

    assert moment.held == state.holds
    assert left == ()
    assert record.ending == "budget"
    assert str(record.ending_detail).startswith(state.detail)
    assert blocks == set(range(state.blocks))
    assert [each.gate for each in record.degrees] == [None, None]
    assert (status, verdict["outcome"]) in ([(3, "inconclusive")] if not blocks else [(3, "inconclusive"), (4, "void")])
    assert (folder / "receipt.json").exists()
    assert (conducted.guarded(), cluster.claims) == (0, {})


@pytest.mark.parametrize("name", STATES)
def test_the_guard_alone_ends_a_run_in_any_state(conducted: Conducted, name: str) -> None:
    """The load generator is gone and leaves all as it was: what holds cores stops, and then its node goes."""
    state, cluster = STATES[name], conducted.cluster
    _, moment = conducted.lived(state, "evicted")
    left = running(cluster)
    if state.holds == ("fetch",):  # which runs on a system node, before Karpenter is asked for another
        cluster.claims.clear()
    first = conducted.guarded()
    after = running(cluster)
    second = conducted.guarded()

    assert (moment.held, left) == (state.holds, state.holds)
    assert after == tuple(each for each in state.holds if each == "fetch")
    assert (first, second, cluster.claims) == (0, 0, {})
