"""Each candidate's way from a suspended Job to servers that are ready, or to the word that it ends with."""

import asyncio
import collections.abc
import dataclasses
import datetime as dt
import functools
import io
import typing

import pytest
from rich.console import Console

from optimal_tp.cluster.conductor import Conductor
from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.ground import ClusterGround
from optimal_tp.cluster.order import JobsOrder, PatienceOrder
from optimal_tp.experiment.resuming import began_of, run_name
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.steps import Step, end_of
from optimal_tp.settings.workload import Price
from optimal_tp.telemetry.console import PlainWatcher
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_cluster_life import LEFT_BEHIND, NOON, LiveCluster, LiveJob, Script, node

PRICE = Price(usd_per_hour=3.6, billed_cores=4, source="a list", date="2026-11-24")
"""Of one core: 0.9 dollars an hour, 0.015 a minute."""
PATIENCE = PatienceOrder(capacity_seconds=900, compile_seconds=5100, start_seconds=1800)
ALL = (TP1, TP2, TP4)


def cluster(**servers: list[Script]) -> LiveCluster:
    """Return a cluster in which everything goes well, but for ``servers``."""
    names = [each.slug for each in ALL]
    return LiveCluster(
        jobs={"fetch": LiveJob(script=Script()), **{f"{name}-compile": LiveJob(script=Script()) for name in names}},
        servers={name: servers.get(name, [Script()]) for name in names},
    )


@dataclasses.dataclass
class Stage:
    """A cluster, its conductors one after the other, and what they remember."""

    cluster: LiveCluster
    rounds: tuple[tuple[Candidate, ...], ...] = (ALL,)
    memory: list[Step] = dataclasses.field(default_factory=list)
    said: io.StringIO = dataclasses.field(default_factory=io.StringIO)
    stop: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def conductor(self, **changes: typing.Any) -> Conductor:
        """Return one that knows what was remembered."""
        parts: dict[str, typing.Any] = {
            "rounds": self.rounds,
            "targets": {each: (f"http://{each.slug}:8000",) for each in ALL},
            "names": {each: (each.slug,) for each in ALL},
            "jobs": JobsOrder(fetch="fetch", compile={each: f"{each.slug}-compile" for each in ALL}),
            "ground": ClusterGround(
                controls=Controls(namespace=self.cluster),
                patience=PATIENCE,
                price=PRICE,
                pool="neuron",
                run_began=NOON,
                now=self.cluster.now,
            ),
            "watcher": PlainWatcher(Console(file=self.said, width=1000)),
            "stop": self.stop,
            "known": tuple(self.memory),
            "on_step": self.memory.append,
            "healthy": self.cluster.healthy,
            "wait": self.cluster.wait,
            "look_seconds": 30.0,
        }
        return Conductor(**parts | changes)

    def meet(self, *candidates: Candidate, **changes: typing.Any) -> Conductor:
        """Let one conductor admit ``candidates``, one after the other."""
        found = self.conductor(**changes)

        async def met() -> None:
            for each in candidates or (self.rounds[0][0],):
                await found.admit(each)

        asyncio.run(met())
        return found

    def words(self) -> dict[str, str | None]:
        """Return each candidate's word and reason."""
        ends = {each.name: end_of(self.memory, each) for each in ALL}
        return {name: None if end is None else f"{end.gate}: {end.detail}" for name, end in ends.items()}

    def acts(self) -> list[str]:
        """Return what was changed, but for what the cluster's own controllers did."""
        return [act for act in self.cluster.acts if not act.startswith("pod of ")]


def test_everything_is_fetched_compiled_and_started_once() -> None:
    """In this order, the Jobs of a round side by side."""
    stage = Stage(cluster())
    found = stage.meet()

    assert stage.acts() == [
        "resume fetch",
        *(f"resume {each.slug}-compile" for each in ALL),
        *(f"scale {each.slug} to 1" for each in ALL),
    ]
    assert found.failure() is None
    assert [(step.candidate, step.what, step.node_seconds, step.seconds) for step in found.steps] == [
        (None, "fetch", 60, 600),
        *((each, "compile", 60, 600) for each in ALL),
        *((each, "start", 60, 600) for each in ALL),
    ]
    assert [step.usd for step in stage.memory[:4]] == [
        None,
        pytest.approx(0.15),
        pytest.approx(0.3),
        pytest.approx(0.6),
    ]
    assert stage.memory == list(found.steps)


class Listener(PlainWatcher):
    """Keeps what ``watch`` shows beside the stage."""

    def __init__(self) -> None:
        """Write nowhere."""
        super().__init__(Console(quiet=True))
        self.details: list[str] = []

    def advance(self, detail: str, *, done: float) -> None:
        """Keep it."""
        assert done >= 0
        self.details.append(detail)


def test_a_fetch_says_how_far_it_is() -> None:
    """Its Job's own last line, as soon as there is one."""
    stage, listener = Stage(cluster()), Listener()
    lines = ["fetching 9 files, 8.04 GB", *(f"fetched {each} GB of 8.04 GB" for each in ("1.20", "3.20"))]
    stage.cluster.jobs["fetch"].script.log = "\n".join(lines)
    stage.meet(watcher=listener)

    assert list(dict.fromkeys(detail for detail in listener.details if "the model" in detail)) == [
        *("the model begins", "the model waits for a node", "the model is being fetched"),
        "the model is being fetched: 3.20 GB of 8.04 GB",
    ]


def test_rounds_come_one_after_the_other() -> None:
    """The first round's servers leave before the second round's Job asks for their cores."""
    stage = Stage(cluster(), rounds=((TP1, TP2), (TP4,)))
    stage.meet(TP1, TP4, TP2)

    assert stage.acts() == [
        *("resume fetch", "resume tp1-compile", "resume tp2-compile", "scale tp1 to 1", "scale tp2 to 1"),
        *("scale tp1 to 0", "scale tp2 to 0", "resume tp4-compile", "scale tp4 to 1"),
        *("scale tp4 to 0", "scale tp1 to 1", "scale tp2 to 1"),
    ]
    assert [(step.candidate, step.number) for step in stage.memory if step.what == "start"] == [
        *((TP1, 0), (TP2, 0), (TP4, 0), (TP1, 1), (TP2, 1)),
    ]


def no_compile(stage: Stage) -> str:
    """Let TP1's Job fail."""
    log = "INFO: lowering\nERROR: NCC_EXTP004 too many instructions\nnot compiled: the server ended with status 1\n"
    stage.cluster.jobs["tp1-compile"].script = Script(runs=2460, fails=True, log=log)
    return "no-compile: its compile Job failed after 42 min ($0.61): not compiled: the server ended with status 1"


def too_long(stage: Stage) -> str:
    """Let TP1's Job go on for ever."""
    stage.cluster.jobs["tp1-compile"].script = Script(runs=None, log="compiling bucket 3 of 9\n")
    return "no-compile: it was still compiling after 86 min ($1.29): compiling bucket 3 of 9"


def no_node_for_job(stage: Stage) -> str:
    """Let TP1's Job wait for ever."""
    stage.cluster.jobs["tp1-compile"].script = Script(node=None)
    return "no-capacity: its compile Job had no node for 15 min: 0/3 nodes are available: 3 Insufficient"


def no_node_for_server(stage: Stage) -> str:
    """Let TP1's server wait for ever."""
    stage.cluster.servers["tp1"] = [Script(node=None)]
    return "no-capacity: its server had no node for 15 min: 0/3 nodes are available: 3 Insufficient"


def never_ready(stage: Stage) -> str:
    """Let TP1's server load for ever."""
    stage.cluster.servers["tp1"] = [Script(runs=None, log="loading shard 1 of 8\n")]
    return "no-start: its servers were not ready after 30 min ($0.45): loading shard 1 of 8"


def dies(stage: Stage) -> str:
    """Let TP1's server end whenever it starts."""
    stage.cluster.servers["tp1"] = [Script(dies=99, log="Traceback:\nRuntimeError: nrt_init failed\nbye\n")]
    return "no-start: its server ended 3 times in 6 min ($0.08): RuntimeError: nrt_init failed"


@pytest.mark.parametrize("harm", [no_compile, too_long, no_node_for_job, no_node_for_server, never_ready, dies])
@pytest.mark.parametrize("rounds", [(ALL,), ((TP1, TP2), (TP4,)), ((TP1,), (TP2,), (TP4,))])
def test_one_word_and_the_rest_is_brought_up(
    harm: collections.abc.Callable[[Stage], str], rounds: tuple[tuple[Candidate, ...], ...]
) -> None:
    """Whatever becomes of TP1, the others are ready, and nothing of it holds cores any more."""
    stage = Stage(cluster(), rounds=rounds)
    word = harm(stage)
    found = stage.meet(*(together[0] for together in rounds))

    assert stage.words() == {"TP1": word, "TP2": None, "TP4": None}
    assert found.failure() is None
    assert stage.cluster.replicas.get("tp1", 0) == 0
    assert [
        pod.name
        for pod in stage.cluster.pods
        if "tp1" in pod.name and not pod.has_ended(NOON + dt.timedelta(1)) and pod.leaves is None
    ] == []
    assert {step.candidate for step in stage.memory if step.what == "start" and step.gate is None} == {TP2, TP4}
    assert word in stage.said.getvalue()


def test_a_model_that_is_not_fetched_ends_all_its_candidates() -> None:
    """Nothing is compiled for it."""
    stage = Stage(cluster())
    stage.cluster.jobs["fetch"].script = Script(fails=True, runs=120, log="not fetched: 401 for the model\n")
    stage.meet()

    word = "no-compile: its model was not fetched: its Job failed after 3 min: not fetched: 401 for the model"
    assert stage.words() == {"TP1": word, "TP2": word, "TP4": word}
    assert stage.acts() == ["resume fetch"]


def test_a_server_that_dies_once_and_lives_has_no_word() -> None:
    """Its container is started again in place, and that takes its time."""
    stage = Stage(cluster(tp2=[Script(dies=1)]))
    stage.meet()

    assert stage.words() == {"TP1": None, "TP2": None, "TP4": None}
    assert [step.seconds for step in stage.memory if step.what == "start"] == [600, 710, 600]


def test_cores_that_were_left_behind_cost_a_pod() -> None:
    """It is deleted once, and the next one gets the cores."""
    stage = Stage(cluster(tp1=[Script(runs=None, log=LEFT_BEHIND), Script()]))
    stage.meet()

    assert stage.words()["TP1"] is None
    assert [act for act in stage.acts() if "delete" in act or "back" in act] == ["delete tp1-0"]
    first, second = (step for step in stage.memory if step.what == "start" and step.candidate == TP1)
    assert (first.number, first.removed, first.gate) == (0, "pod tp1-0", None)
    assert (second.number, second.removed, second.gate) == (0, None, None)


def test_cores_that_stay_taken_cost_a_pod_then_a_node_then_the_candidate() -> None:
    """Each once; the others' servers on that node come again."""
    stage = Stage(cluster(tp1=[Script(runs=None, log=LEFT_BEHIND)]))
    stage.cluster.claims["neuron-a"] = node("neuron-a")
    stage.meet()

    word = stage.words()
    assert str(word["TP1"]).startswith("no-start: cores stayed taken after ")
    assert "although pod tp1-0 and node neuron-a was deleted: 2026-11-24 ERROR TDRV:nrt_allocate" in str(word["TP1"])
    assert (word["TP2"], word["TP4"]) == (None, None)
    acts = stage.acts()
    assert [act for act in acts if act.startswith(("give", "delete tp1-0"))] == ["delete tp1-0", "give back neuron-a"]
    assert all(asyncio.run(stage.cluster.healthy(f"http://{name}:1")) for name in ("tp2", "tp4"))


def test_a_later_start_that_fails_says_which() -> None:
    """What was measured before stays; the word is about the servers that did not come back."""
    stage = Stage(cluster(tp1=[Script(), Script(dies=9, log="OSError: stale file handle")]))

    async def live(found: Conductor) -> None:
        await found.admit(TP1)
        await found.restart()

    found = stage.conductor()
    asyncio.run(live(found))

    assert stage.words() == {
        "TP1": "no-start: at start 2 its server ended 3 times in 6 min ($0.08): OSError: stale file handle",
        "TP2": None,
        "TP4": None,
    }
    assert [step.number for step in stage.memory if step.candidate == TP2 and step.what == "start"] == [0, 1]
    assert found.failure() is None


def test_a_later_start_without_a_node_is_no_start() -> None:
    """It had a node once, so the plan fits; its reason is the scheduler's."""
    stage = Stage(cluster(tp1=[Script(), Script(node=None)]), rounds=((TP1,), (TP2,)))
    stage.meet(TP1, TP2, TP1)

    assert str(stage.words()["TP1"]).startswith("no-start: at start 2 its server had no node for 15 min: 0/3 nodes")


def test_servers_that_are_ready_and_do_not_serve_leave_the_run() -> None:
    """Whoever asks them for a completion says why; they are stopped."""
    stage = Stage(cluster())
    found = stage.meet()
    asyncio.run(found.refuse(TP2, "it answers 500"))

    assert stage.words()["TP2"] == "no-start: its servers are ready but do not answer: it answers 500"
    assert stage.cluster.replicas == {"tp1": 1, "tp2": 0, "tp4": 1}


def _eventful() -> Stage:
    stage = Stage(cluster(tp2=[Script(dies=1, log=LEFT_BEHIND), Script()]), rounds=((TP1, TP2), (TP4,)))
    no_compile(stage)
    stage.cluster.servers["tp4"] = [Script(node=None)]
    return stage


@functools.cache
def _things_done() -> int:
    """Return how many things a conductor does that nobody kills."""
    whole = _eventful()
    whole.meet(TP1, TP4)
    return len(whole.acts()) + len(whole.memory)


class Killed(BaseException):
    """SIGKILL, as far as a program can have it."""


@pytest.mark.parametrize("moment", range(25))
def test_whoever_takes_over_after_a_kill_says_the_same(moment: int) -> None:
    """Killed at each thing that it does, one after the other: same words, nothing compiled or started twice."""
    stage, left = _eventful(), [moment]

    def strike() -> None:
        left[0] -= 1
        if left[0] == -1:
            raise Killed

    class Deadly(list[str]):
        def append(self, act: str) -> None:
            super().append(act)
            if not act.startswith("pod of "):
                strike()

    object.__setattr__(stage.cluster, "acts", Deadly())

    def remember(step: Step) -> None:
        stage.memory.append(step)
        strike()

    for _ in range(2):
        try:
            stage.meet(TP1, TP4, on_step=remember)
            break
        except Killed:
            continue

    assert left[0] < 0 or moment >= _things_done()
    assert {name: str(word).partition(":")[0] for name, word in stage.words().items()} == {
        "TP1": "no-compile",
        "TP2": "None",
        "TP4": "no-capacity",
    }
    resumed = [act for act in stage.acts() if act.startswith("resume")]
    assert sorted(set(resumed)) == sorted(resumed)
    starts = [step.number for step in stage.memory if step.candidate == TP2 and step.what == "start"]
    assert starts[:2] == [0, 0]
    assert sorted(set(starts[1:])) == starts[1:]
    assert [act for act in dict.fromkeys(stage.acts()) if act.startswith("delete")] == ["delete tp2-0"]
    assert stage.cluster.jobs["tp4-compile"].suspended is False
    assert stage.cluster.replicas["tp4"] == stage.cluster.replicas["tp1"] == 0


@pytest.mark.parametrize("word", ["tell of the Job", "list the pods", "scale", "resume", "list the nodes"])
def test_an_api_server_that_restarts_is_waited_for(word: str) -> None:
    """Ten minutes of silence are no word; what was asked is asked again."""
    stage = Stage(cluster())
    stage.cluster.silent.add(word)
    wait = stage.cluster.wait

    async def waited(stop: asyncio.Event, seconds: float) -> None:
        await wait(stop, seconds)
        if stage.cluster.now() > NOON + dt.timedelta(minutes=10):
            stage.cluster.silent.clear()

    found = stage.meet(wait=waited)

    assert stage.words() == {"TP1": None, "TP2": None, "TP4": None}
    assert found.failure() is None


def test_an_api_server_that_stays_silent_ends_the_run() -> None:
    """What nobody can see gets no word."""
    stage = Stage(cluster())
    stage.cluster.silent.add("tell of the Job")
    found = stage.meet()

    assert found.failure() == "the Kubernetes API did not tell of the Job fetch: 503 for now"
    assert stage.words() == {"TP1": None, "TP2": None, "TP4": None}


@pytest.mark.parametrize(
    ("minutes", "doing"),
    [
        (5, "the model was being fetched"),
        (15, "TP1, TP2 and TP4 were compiling"),
        (25, "TP1, TP2 and TP4 were starting"),
    ],
)
def test_the_end_of_the_money_ends_every_wait(minutes: int, doing: str) -> None:
    """At once and in any state, and it is known what it was."""
    stage = Stage(cluster())
    wait = stage.cluster.wait

    async def waited(stop: asyncio.Event, seconds: float) -> None:
        await wait(stop, seconds)
        if stage.cluster.now() >= NOON + dt.timedelta(minutes=minutes):
            stop.set()

    found = stage.meet(wait=waited)

    assert found.doing == doing
    assert stage.cluster.now() == NOON + dt.timedelta(minutes=minutes)
    assert found.failure() is None


def test_jobs_of_an_earlier_run_are_not_paid_for_again() -> None:
    """Complete they are used and told of nowhere; failed they are a word, and the way out is said."""
    stage = Stage(cluster())
    for name in ("fetch", "tp1-compile", "tp2-compile"):
        stage.cluster.ask("resume", "batch/v1", f"jobs/{name}", patch={"spec": {"suspend": False}})
    stage.cluster.jobs["tp2-compile"].script.fails = True
    stage.cluster.time[0] += dt.timedelta(hours=1)
    stage.cluster.acts.clear()
    ground = dataclasses.replace(stage.conductor().ground, run_began=stage.cluster.now())
    stage.meet(ground=ground)

    assert [act for act in stage.acts() if "resume" in act] == ["resume tp4-compile"]
    assert stage.words()["TP2"] == (
        "no-compile: its compile Job had failed before this run: loading; to try again: kubectl delete job "
        "tp2-compile, then pulumi up --refresh"
    )
    assert [(step.candidate, step.usd is None) for step in stage.memory if step.what != "start"] == [
        (TP2, True),
        (TP4, False),
    ]


def test_a_job_that_ended_while_nobody_looked_is_paid_by_its_run() -> None:
    """Whoever takes over knows when the run began by its name."""
    stage = Stage(cluster())
    stage.cluster.ask("resume", "batch/v1", "jobs/fetch", patch={"spec": {"suspend": False}})
    stage.cluster.time[0] += dt.timedelta(hours=1)
    ground = dataclasses.replace(stage.conductor().ground, run_began=began_of(run_name(NOON)))
    stage.meet(ground=ground)

    assert (stage.memory[0].what, stage.memory[0].seconds) == ("fetch", 600)


def test_a_node_that_takes_no_pods_is_told_of() -> None:
    """It bills from its launch on; the line comes after ten minutes, and again ten minutes later."""
    stage = Stage(cluster())
    message = "startup taint efs.csi.aws.com/agent-not-ready still exists"
    stage.cluster.claims["neuron-a"] = node("neuron-a", initialised=False, message=message)
    stage.meet()

    lines = [line for line in stage.said.getvalue().splitlines() if "neuron-a" in line]
    assert len(lines) == 3
    assert lines[0].endswith(
        f"the node neuron-a was launched 10 min ago and bills but takes no pods: not Initialized: {message}"
    )


def test_without_jobs_servers_are_started_at_once() -> None:
    """Whatever was compiled elsewhere is on the volume already."""
    stage = Stage(cluster())
    stage.meet(jobs=None)

    assert stage.acts() == [f"scale {each.slug} to 1" for each in ALL]


@pytest.mark.parametrize("makes_room", [True, False])
def test_other_models_make_room_where_they_must(*, makes_room: bool) -> None:
    """Their servers are stopped first where their cores are needed, and left alone where all run together."""
    stage = Stage(cluster())
    stage.cluster.replicas["other"] = 1
    stage.cluster.servers["other"] = [Script()]
    stage.meet(others=("other",), makes_room=makes_room)

    assert stage.cluster.replicas["other"] == (0 if makes_room else 1)
