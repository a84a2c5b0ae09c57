"""A run in a world without servers or time, whose process dies where a test says, and is followed by another."""

import asyncio
import collections.abc
import dataclasses
import datetime as dt
import json
import math
import pathlib
import types
import typing

import pytest
from rich.console import Console

from optimal_tp.experiment import session as sessions
from optimal_tp.experiment import turns
from optimal_tp.experiment.session import Session
from optimal_tp.experiment.turns import Halt, OpenArena
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.stretch import Drive, Stretch, Target
from optimal_tp.measurement.run import DegreeRecord, RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.steps import Step, end_of
from optimal_tp.measurement.turns import Turn, of
from optimal_tp.plan import prompts
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.timetable import Rounds
from optimal_tp.results.folder import Bucket
from optimal_tp.results.restoration import Restored, restored
from optimal_tp.settings.workload import WorkloadSettings, parse_workloads
from optimal_tp.telemetry.console import PlainWatcher
from optimal_tp.telemetry.publish import CloudWatch
from tests.fakes_candidates import TP1, TP2
from tests.fakes_run import UNCOUNTED, Planted, Recorder, parsed, settings, total_limit

GAP_SECONDS = 600.0
"""From the death of a process to the beginning of the next one."""
ANY_LIMITS = parsed(settings(limits=total_limit(500, 75))).limits.asked()


class Killed(BaseException):
    """The process has gone: nothing that would have come after happens."""


@dataclasses.dataclass(kw_only=True)
class World:
    """What outlives processes: time, servers with a planted truth, and what they were asked."""

    truths: dict[Candidate, Planted]
    settings: WorkloadSettings
    folder: pathlib.Path
    bucket: Bucket | None = None
    cloudwatch: CloudWatch | None = None
    rounds: Rounds | None = None
    arena: collections.abc.Callable[[], OpenArena] = OpenArena
    pins: dict[str, str] = dataclasses.field(default_factory=lambda: {"code": "this"})
    seconds: float = 1_000.0
    """What the clock shows."""
    asked: list[Stretch] = dataclasses.field(default_factory=list)
    """Turns that servers were asked for, also those that the process did not survive."""
    prompts: list[str] = dataclasses.field(default_factory=list)
    """What they were asked."""
    handed: list[Sample] = dataclasses.field(default_factory=list)
    """Samples that the driver has handed over."""
    said: list[str] = dataclasses.field(default_factory=list)
    lives: int = 0

    def __post_init__(self) -> None:
        self._dies: tuple[int, float] | None = None
        self._asked_before = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the world in the place of clocks, servers and the driver."""
        clock = types.SimpleNamespace(perf_counter=lambda: self.seconds, time=lambda: 1_800_000_000 + self.seconds)
        monkeypatch.setattr(sessions, "time", clock)
        monkeypatch.setattr(turns, "time", clock)
        monkeypatch.setattr(turns, "drive", self.drive)
        monkeypatch.setattr(sessions, "prompts_of", self.prompts_of)
        monkeypatch.setattr(sessions, "check_targets", _nothing)
        monkeypatch.setattr(sessions, "wait_until_healthy", _nothing)
        monkeypatch.setattr(sessions, "countings", lambda *_: ())  # nobody answers there

    async def prompts_of(
        self, _settings: WorkloadSettings, _server: object, *, salt: str, asked: int, **_: object
    ) -> typing.Any:
        """Return prompts that are numbered, others with another salt."""
        assert asked >= 0
        each = (Prompt(f"{salt} {number}") for number in range(10_000_000))
        return prompts.Prompts(each=each, unique=True, tokens=None, words="numbers")

    async def drive(
        self,
        _target: Target,
        stretch: Stretch,
        sources: collections.abc.Iterator[Prompt],
        *,
        on_sample: collections.abc.Callable[[Sample], None],
        transport: object,
        clock: collections.abc.Callable[[], float],
        stop: asyncio.Event,
    ) -> Drive:
        """Serve as the truth says; die with the turn and the sample that ``self.dies`` names."""
        assert transport is not None
        self.asked.append(stretch)
        turn, after = self._dies or (-1, 0.0)
        dies = len(self.asked) - 1 - self._asked_before == turn
        start = round(clock() - (stretch.origin or 0.0), 6)
        recorder = self._served(stretch, start)
        samples = sorted(recorder.samples, key=lambda sample: sample.end_seconds)
        for number, sample in enumerate(samples):
            if dies and number >= after * len(samples):
                raise Killed
            self.prompts.append(f"TP{stretch.degree} {next(sources).content!s}")
            self.handed.append(sample)
            on_sample(sample)
        self.seconds += recorder.turns[-1].end_seconds - start
        if dies:
            raise Killed
        return Drive(
            intended=len(samples),
            sent=len(samples),
            start_seconds=start,
            end_seconds=recorder.turns[-1].end_seconds,
            whole=not stop.is_set(),
            in_flight_at_end=0,
            lag_p99_ms=0.1,
            lag_max_ms=0.2,
        )

    def _served(self, stretch: Stretch, start: float) -> Recorder:
        key = (stretch.stage, stretch.candidate, stretch.block, round((stretch.arrivals.rate_per_second or 0) * 1000))
        recorder, truth = Recorder(), self.truths[stretch.candidate]
        recorder.random.seed(repr((key, stretch.arrivals.concurrency)))
        recorder.now_seconds = start
        rate, slots = stretch.arrivals.rate_per_second, stretch.arrivals.concurrency or 1
        if rate is None:
            requests = min(stretch.requests or 8 * slots, 8 * slots)
            recorder.turn(truth, stretch.stage, requests=requests, block=stretch.block, concurrency=slots)
        else:
            assert stretch.counted is not None
            recorder.open_turn(
                truth,
                stretch.stage,
                self.settings.limits.asked() or ANY_LIMITS,
                aside=math.log(rate / truth.degree) - truth.log_capacity,
                counted=stretch.counted.first + stretch.counted.count - UNCOUNTED,
                block=stretch.block,
                rate=rate,
            )
        return recorder

    def live(self, dies: tuple[int, float] | None = None) -> RunRecord | None:
        """Have a process begin or go on with the run; None where it died.

        ``dies``: in which turn of those that it takes, from 0, and after which share of the turn's samples.
        """
        self.seconds += GAP_SECONDS if self.lives else 0.0
        self.lives += 1
        self._dies, self._asked_before = dies, len(self.asked)
        try:
            return asyncio.run(self._conduct())
        except Killed:
            return None

    async def _conduct(self) -> RunRecord:
        self.folder.mkdir(exist_ok=True)
        return await self.session(restored(self.folder, self.bucket) if self.lives > 1 else None).conduct()

    def session(self, kept: Restored | None) -> Session:
        """Return the run as a process has it."""
        watcher = PlainWatcher(Console(quiet=True))
        watcher.say = self.said.append  # type: ignore[method-assign, assignment]
        return Session(
            run="test",
            place="cluster",
            settings=self.settings,
            degrees=tuple(
                DegreeRecord(
                    degree=candidate.degree,
                    gate=None,
                    reason=None,
                    urls=(f"http://tp{candidate.degree}",),
                    cores_used=candidate.degree,
                    cores_allocated=candidate.degree,
                    ready_seconds=None,
                )
                for candidate in self.truths
            ),
            arena=self.arena(),
            folder=self.folder,
            bucket=self.bucket,
            cloudwatch=self.cloudwatch,
            pins=self.pins,
            watcher=watcher,
            halt=Halt(event=asyncio.Event()),
            ignore_eos=False,
            ready_timeout_seconds=1,
            rounds=self.rounds,
            restored=kept,
        )


async def _nothing(*_: object, **__: object) -> None:
    return None


START_SECONDS = 300.0
"""How long servers take to start."""


@dataclasses.dataclass(kw_only=True)
class Pods(OpenArena):
    """Servers that the experiment starts, in rounds. They outlive processes, as their steps do."""

    world: World
    fails: dict[Candidate, int] = dataclasses.field(default_factory=dict)
    """Candidates that do not come back, and at which of their starts, from 0."""
    known: list[Step] = dataclasses.field(default_factory=list)
    running: tuple[Candidate, ...] = ()
    restarts: int = 0
    dies_in_restart: int | None = None
    """In which restart, from 0, the process dies."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return every start so far."""
        return tuple(self.known)

    @property
    def can_restart(self) -> bool:
        """Return True."""
        return True

    async def admit(self, candidate: Candidate) -> None:
        """Start the servers of the candidate's round, unless they run."""
        (wanted,) = [together for together in self.world.rounds or () if candidate in together]
        if wanted != self.running:
            self._start(wanted)

    async def restart(self) -> None:
        """Start those that run anew."""
        self.restarts += 1
        if self.restarts - 1 == self.dies_in_restart:
            raise Killed
        self._start(self.running)

    def _start(self, together: tuple[Candidate, ...]) -> None:
        self.running = together
        began = dt.datetime.fromtimestamp(1_800_000_000 + self.world.seconds, dt.UTC).isoformat()
        for candidate in (each for each in together if end_of(self.known, each) is None):
            number = sum(step.candidate == candidate for step in self.known)
            gone = self.fails.get(candidate) == number
            step = Step(
                candidate=candidate,
                what="start",
                number=number,
                began=began,
                node_seconds=1.0,
                seconds=START_SECONDS,
                usd=None,
                gate="no-start" if gone else None,
                detail=f"start {number} ended with status 1" if gone else None,
            )
            self.known.append(step)
        self.world.seconds += START_SECONDS


LOAD = {
    "output_tokens": 50,
    "warm_up_requests": 2,
    "idle_requests": 4,
    "pause_seconds": 0,
    "bracket_turns": 4,
    "turn_requests": 20,
    "request_timeout_seconds": 30,
}
DECISION = {
    "minimum_blocks": 4,
    "fixed_looks": 5,
    "resolution": 0.2,
    "least_lead": 0.15,
    "maximum_blocks": 8,
    "budget_seconds": 2_000_000,
    "proof_seconds": 0,
}


def planted_world(folder: pathlib.Path, limits: dict[str, typing.Any]) -> World:
    """Return a world in which TP2 is the better one, and where the race soon says so."""
    section = settings(degrees=[1, 2], load=LOAD, decision=DECISION, **({"limits": limits} if limits else {}))
    return World(
        truths={
            TP1: Planted(degree=1, latency_ms=300, noise=0.01),
            TP2: Planted(degree=2, latency_ms=100, noise=0.01),
        },
        settings=parse_workloads(section, file="test"),
        folder=folder,
    )


def asked(turn: Turn) -> tuple[typing.Any, ...]:
    """Return what was asked of ``turn``; a rate to five digits, for it follows from times that a gap rounds anew."""
    rate = turn.rate_per_second
    return (turn.stage, of(turn).name, turn.block, turn.concurrency, None if rate is None else f"{rate:.5g}")


def whole(record: RunRecord) -> list[Turn]:
    """Return the turns that were not cut short."""
    return [turn for turn in record.turns if turn.stage != "cut"]


def edited(folder: pathlib.Path, **changes: typing.Any) -> None:
    """Change what the record in ``folder`` says."""
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
