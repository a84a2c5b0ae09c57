"""The whole experiment with servers that take turns: never two rounds at once, there and back over the blocks."""

import asyncio
import dataclasses
import pathlib

import pytest

from optimal_tp.cluster.conductor import Conductor
from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.ground import ClusterGround
from optimal_tp.cluster.order import PatienceOrder
from optimal_tp.experiment.probe import probe_for_ever
from optimal_tp.experiment.session import Session
from optimal_tp.experiment.turns import Halt
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.stretch import Stretch, Target
from optimal_tp.measurement.run import RunRecord
from optimal_tp.plan.timetable import Rounds
from tests.fakes_candidates import TP1, TP2
from tests.fakes_cluster_life import NOON, LiveCluster, Script
from tests.fakes_server import Script as Script_
from tests.fakes_server import ScriptedServer
from tests.measurement.test_session import _session, _settings, _verdict

ROUNDS = ((TP1,), (TP2,))


class Life(LiveCluster):
    """Its pods are ready at once, and its time goes on with the machine's where nobody waits."""

    def __init__(self, **scripts: list[Script]) -> None:
        ready = [Script(node=0, runs=0)]
        super().__init__(servers={name: scripts.get(name, ready) for name in ("tp1", "tp2")})

    def running(self) -> list[tuple[str, ...]]:
        """Return which servers ran together, in order."""
        found: list[tuple[str, ...]] = []
        pods = {"tp1": 0, "tp2": 0}
        for act in self.acts:
            if act.startswith("scale "):
                _, name, _, count = act.split()
                pods[name] = int(count)
                now = tuple(each for each, replicas in pods.items() if replicas)
                if now and (not found or found[-1] != now):
                    found.append(now)
        return found


def conductor(session: Session, cluster: Life, rounds: Rounds, stop: asyncio.Event) -> Conductor:
    """Return one whose cluster is ``cluster`` and whose servers are the session's."""
    patience = PatienceOrder(capacity_seconds=900, compile_seconds=5100, start_seconds=1800)
    return Conductor(
        rounds=rounds,
        targets={each.candidate: each.urls for each in session.degrees},
        names={TP1: ("tp1",), TP2: ("tp2",)},
        jobs=None,
        ground=ClusterGround(
            controls=Controls(namespace=cluster),
            patience=patience,
            price=None,
            pool=None,
            run_began=NOON,
            now=cluster.now,
        ),
        watcher=session.watcher,
        stop=stop,
        wait=cluster.wait,
        look_seconds=30,
        healthy=lambda url: cluster.healthy(
            next(f"http://{each.candidate.slug}" for each in session.degrees if url in each.urls)
        ),
    )


async def conducted(
    session: Session, cluster: Life, *, rounds: Rounds = ROUNDS, probes: bool = False
) -> RunRecord | None:
    """Run ``session`` on ``cluster``: the experiment, or the steady probe for a moment."""
    halt = Halt(event=asyncio.Event())
    arena = conductor(session, cluster, rounds, halt.event)
    taking_turns = dataclasses.replace(session, arena=arena, halt=halt, rounds=rounds if len(rounds) > 1 else None)
    if not probes:
        return await taking_turns.conduct()
    asyncio.get_running_loop().call_later(0.2, halt.set, "interrupted", "enough")
    await probe_for_ever(taking_turns, pause_seconds=0.01)
    return None


def test_visits_go_there_and_back(tmp_path: pathlib.Path) -> None:
    """Four blocks of TP1, four of TP2, then the other way round: each block has both, and changes are few."""
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        record = asyncio.run(conducted(session, Life()))

    assert record is not None
    blocks = [turn.degree for turn in record.turns if turn.stage == "block"]
    assert blocks[:16] in ([1] * 4 + [2] * 8 + [1] * 4, [1] * 4 + [2] * 4)
    assert record.ending in ("settled", "blocks")


def test_the_first_turn_after_a_start_is_thrown_away(tmp_path: pathlib.Path) -> None:
    """It warms the servers up; turns say which start they were on, the first being 0."""
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        record = asyncio.run(conducted(session, Life()))

    assert record is not None
    seen: set[tuple[int, int | None]] = set()
    for turn in record.turns:
        if (turn.degree, turn.server_start) not in seen:
            assert turn.stage == "warm_up"
            seen.add((turn.degree, turn.server_start))
    assert seen >= {(1, 0), (1, 1), (2, 0), (2, 1)}


def test_no_two_rounds_run_at_once(tmp_path: pathlib.Path) -> None:
    """One node holds one round: whenever one is started the other has been stopped."""
    cluster = Life()
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        asyncio.run(conducted(session, cluster))

    assert set(cluster.running()) == {("tp1",), ("tp2",)}


def test_the_steady_probe_changes_no_servers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the experiment the first round stays and is probed alone; nothing is started and stopped for ever."""
    cluster = Life()
    probed: set[Candidate] = set()

    async def drive(target: Target, stretch: Stretch, *_: object, **__: object) -> None:
        assert target.urls
        probed.add(stretch.candidate)

    monkeypatch.setattr("optimal_tp.experiment.probe.drive", drive)
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        asyncio.run(conducted(session, cluster, probes=True))

    assert cluster.running() == [("tp1",)]
    assert probed == {TP1}


def test_servers_that_run_at_once_have_three_starts(tmp_path: pathlib.Path) -> None:
    """They are restarted between visits, all together, and steps say how long each start took."""
    cluster = Life()
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        record = asyncio.run(conducted(session, cluster, rounds=((TP1, TP2),)))

    assert record is not None
    starts = {turn.server_start or 0 for turn in record.turns if turn.stage == "block"}
    assert starts in ({0}, {0, 1}, {0, 1, 2})
    assert [(step.candidate, step.number) for step in record.steps] == [
        (each, number) for number in sorted(starts) for each in (TP1, TP2)
    ]
    assert cluster.acts.count("scale tp1 to 0") == len(starts) - 1


@pytest.mark.parametrize("rounds", [((TP1, TP2),), ((TP1,), (TP2,))])
def test_a_candidate_whose_servers_do_not_come_leaves_the_rest(tmp_path: pathlib.Path, rounds: Rounds) -> None:
    """It has its word in the record; the other one is measured alone."""
    cluster = Life(tp1=[Script(node=0, dies=9, log="OSError: no such file")])
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        record = asyncio.run(conducted(session, cluster, rounds=rounds))

    assert record is not None
    assert [(each.gate, each.reason is None) for each in record.degrees] == [("no-start", False), (None, True)]
    assert {turn.degree for turn in record.turns} == {2}
    assert cluster.replicas["tp1"] == 0


def test_servers_that_do_not_come_back_keep_what_was_measured(tmp_path: pathlib.Path) -> None:
    """The word says at which start; turns before it stay in the record, and the rest is measured to its end."""
    ready = Script(node=0, runs=0)
    cluster = Life(tp1=[ready, Script(node=0, dies=9, log="OSError: no such file")])
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        record = asyncio.run(conducted(session, cluster))

    assert record is not None
    assert str(record.degrees[0].reason).startswith("at start 2 its server ended 3 times")
    assert record.degrees[1].gate is None
    assert {turn.degree for turn in record.turns} == {2}
    assert next(each.word for each in _verdict(tmp_path).degrees) == "no-start"


def test_no_candidate_left_is_a_run_without_load(tmp_path: pathlib.Path) -> None:
    """Its record has each word, and nothing is chosen."""
    cluster = Life(tp1=[Script(node=None)], tp2=[Script(node=0, dies=9)])
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        record = asyncio.run(conducted(session, cluster, rounds=((TP1, TP2),)))
    verdict = _verdict(tmp_path)

    assert record is not None
    assert (record.ending, record.ending_detail) == (
        "blocks",
        "no candidate was left to measure: each is decided already",
    )
    assert ([each.word for each in verdict.degrees], verdict.chosen) == (["no-capacity", "no-start"], None)
    assert verdict.outcome == "inconclusive"
    assert verdict.reasons[0].startswith("TP1: no-capacity: its server had no node for 15 min: ")


def test_money_that_ends_before_any_load_is_a_record_too(tmp_path: pathlib.Path) -> None:
    """It says what it ended in; nothing is chosen, and nobody has a word that is not deserved."""
    cluster = Life(tp1=[Script(node=0, runs=None)])

    async def ended(session: Session) -> RunRecord:
        halt = Halt(event=asyncio.Event())
        arena = conductor(session, cluster, ((TP1, TP2),), halt.event)

        async def waited(stop: asyncio.Event, seconds: float) -> None:
            await cluster.wait(stop, seconds)
            halt.set("budget", "the money ends")

        arena.wait = waited
        return await dataclasses.replace(session, arena=arena, halt=halt).conduct()

    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        record = asyncio.run(ended(session))

    assert record.ending == "budget"
    assert record.ending_detail == "the budget ended while TP1 and TP2 were starting (spend.budget_usd)"
    assert [each.gate for each in record.degrees] == [None, None]
    assert _verdict(tmp_path).outcome == "inconclusive"


def test_servers_that_serve_another_model_leave_the_run(tmp_path: pathlib.Path) -> None:
    """What was started from here and is not what it should be has a word, and the rest is measured."""
    cluster = Life()
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session, ScriptedServer(Script_(model="x")) as other:
        wrong = dataclasses.replace(session.degrees[0], urls=(other.url,))
        changed = dataclasses.replace(session, degrees=(wrong, session.degrees[1]))
        record = asyncio.run(conducted(changed, cluster, rounds=((TP1, TP2),)))

    assert record is not None
    assert record.degrees[0].gate == "no-start"
    assert "its servers are ready but do not answer: target 1: must serve " in str(record.degrees[0].reason)
    assert record.degrees[1].gate is None
