"""The whole experiment with servers that take turns: never two rounds at once, there and back over the blocks."""

import asyncio
import dataclasses
import pathlib

import pytest

from optimal_tp.cluster.scaling import Deployments, Rota
from optimal_tp.experiment.probe import probe_for_ever
from optimal_tp.experiment.session import Session
from optimal_tp.experiment.turns import Halt
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.stretch import Stretch, Target
from optimal_tp.measurement.run import RunRecord
from tests.fakes_candidates import TP1, TP2
from tests.fakes_kubernetes import NO_API
from tests.measurement.test_session import _session, _settings

ROUNDS = ((TP1,), (TP2,))


class Cluster(Deployments):
    """Keeps what was asked of it; ``running`` is what runs after each order."""

    def __init__(self) -> None:
        super().__init__(namespace=NO_API)
        self.pods: dict[str, int] = {"tp1": 0, "tp2": 0}
        self.states: list[tuple[str, ...]] = []

    def scale(self, name: str, replicas: int) -> None:
        """Have so many pods from now on."""
        self.pods[name] = replicas
        running = tuple(name for name, pods in self.pods.items() if pods)
        if running and (not self.states or self.states[-1] != running):
            self.states.append(running)


async def conducted(session: Session, cluster: Cluster, *, probes: bool = False) -> RunRecord | None:
    """Run ``session`` in turns on ``cluster``: the experiment, or the steady probe for a moment."""
    halt = Halt(event=asyncio.Event())
    urls = {each.candidate: each.urls for each in session.degrees}
    rota = Rota(
        rounds=ROUNDS,
        targets=urls,
        names={TP1: ("tp1",), TP2: ("tp2",)},
        scaler=cluster,
        ready_timeout_seconds=2,
        stop=halt.event,
    )
    taking_turns = dataclasses.replace(session, arena=rota, halt=halt, rounds=ROUNDS)
    if not probes:
        return await taking_turns.conduct()
    asyncio.get_running_loop().call_later(0.2, halt.set, "interrupted", "enough")
    await probe_for_ever(taking_turns, pause_seconds=0.01)
    return None


def test_visits_go_there_and_back(tmp_path: pathlib.Path) -> None:
    """Four blocks of TP1, four of TP2, then the other way round: each block has both, and changes are few."""
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        record = asyncio.run(conducted(session, Cluster()))

    assert record is not None
    blocks = [turn.degree for turn in record.turns if turn.stage == "block"]
    assert blocks[:16] in ([1] * 4 + [2] * 8 + [1] * 4, [1] * 4 + [2] * 4)
    assert record.ending in ("settled", "blocks")


def test_the_first_turn_after_a_start_is_thrown_away(tmp_path: pathlib.Path) -> None:
    """It warms the servers up; turns say which start they were on, the first being 0."""
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        record = asyncio.run(conducted(session, Cluster()))

    assert record is not None
    seen: set[tuple[int, int | None]] = set()
    for turn in record.turns:
        if (turn.degree, turn.server_start) not in seen:
            assert turn.stage == "warm_up"
            seen.add((turn.degree, turn.server_start))
    assert seen >= {(1, 0), (1, 1), (2, 0), (2, 1)}


def test_no_two_rounds_run_at_once(tmp_path: pathlib.Path) -> None:
    """One node holds one round: whenever one is started the other has been stopped."""
    cluster = Cluster()
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        asyncio.run(conducted(session, cluster))

    assert set(cluster.states) == {("tp1",), ("tp2",)}


def test_the_steady_probe_changes_no_servers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the experiment the first round stays and is probed alone; nothing is started and stopped for ever."""
    cluster = Cluster()
    probed: set[Candidate] = set()

    async def drive(target: Target, stretch: Stretch, *_: object, **__: object) -> None:
        assert target.urls
        probed.add(stretch.candidate)

    monkeypatch.setattr("optimal_tp.experiment.probe.drive", drive)
    with _session(tmp_path, {1: 0.002, 2: 0.002}, _settings()) as session:
        asyncio.run(conducted(session, cluster, probes=True))

    assert cluster.states == [("tp1",)]
    assert probed == {TP1}
