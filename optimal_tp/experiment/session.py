"""One run, from ready servers to its complete record: the same in a cluster, on one machine, or on your own servers."""

import collections.abc
import contextlib
import dataclasses
import datetime as dt
import functools
import pathlib
import time
import typing

from optimal_tp.errors import Interrupted, ServerFailed, SettingsError, quantity
from optimal_tp.experiment.courses import courses_of
from optimal_tp.experiment.ledger import Ledger
from optimal_tp.experiment.planned import PlannedExperiment, planned_experiment, planned_origin
from optimal_tp.experiment.prompt_sources import prompts_of, said_of, trace_record, turn_prompts
from optimal_tp.experiment.publishing import published
from optimal_tp.experiment.resuming import last_known_seconds, refuse_other_run, requests_of, resumed_origin
from optimal_tp.experiment.stages import Experiment
from optimal_tp.experiment.taking import Live, RunReplay, Taking, last_turns
from optimal_tp.experiment.targets import check_targets, wait_until_healthy
from optimal_tp.experiment.turns import Halt, OpenArena, Turns
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.physics import Physics
from optimal_tp.loadgen.command.access import OPEN, Access
from optimal_tp.loadgen.counting import countings
from optimal_tp.loadgen.stretch import Target
from optimal_tp.measurement.run import DegreeRecord, Ending, Part, RunRecord
from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.plan import prompts
from optimal_tp.plan.timetable import Rounds
from optimal_tp.plan.traces import Trace, trace_of
from optimal_tp.results.folder import Bucket
from optimal_tp.results.restoration import Restored
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.telemetry.console import Watcher
from optimal_tp.telemetry.minutes import Minutes
from optimal_tp.telemetry.publish import CloudWatch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """Everything a run needs, handed in."""

    run: str
    place: typing.Literal["local", "cluster", "own-servers"]
    settings: WorkloadSettings
    degrees: tuple[DegreeRecord, ...]
    """All candidates that the settings ask for; the ones with a gate are not measured."""
    arena: OpenArena
    folder: pathlib.Path
    """Folder of samples and record."""
    bucket: Bucket | None
    cloudwatch: CloudWatch | None
    """None: publish nothing."""
    pins: dict[str, str]
    watcher: Watcher
    halt: Halt
    ignore_eos: bool
    """Ask servers for exactly the planned tokens; an extension of vLLM's."""
    ready_timeout_seconds: float
    rounds: Rounds | None = None
    """Candidates whose servers run at the same time; None if all of them can."""
    model_title: str = ""
    """The model's title, put before the candidate in the metrics of a sweep; empty for one model alone."""
    part: Part | None = None
    """This process's part of the run; None: the whole run."""
    restored: Restored | None = None
    """The part of the run that an earlier process kept in ``folder``, to be continued; None: a new run."""
    access: Access = OPEN
    """Headers, key and certificates that the servers require."""
    physics: Physics | None = None
    """Roof of a core and sizes of the model, for the report; None if they are not known."""

    @functools.cached_property
    def trace(self) -> Trace | None:
        """The trace that the settings name. Raises SettingsError for a file that is not a trace."""
        return trace_of(self.settings)

    async def conduct(self) -> RunRecord:
        """Run the experiment and return its record; if it had ended before, nothing is measured.

        Raises SettingsError for targets with a wrong identity, ServerFailed for targets that are down, StorageFailed if
        results cannot be kept, Interrupted if ``halt`` was set before anything was measured, and ResumeFailed if
        ``restored`` is of another run.
        """
        if self.restored is not None:
            return await self._resume(self.restored)
        self.trace  # noqa: B018 - report a bad file before waiting for servers
        sources: dict[Candidate, prompts.Prompts] = {}
        if (without_load := await self._meet_all(sources)) is not None:
            return without_load
        sources = dict(sorted(sources.items()))
        origin = time.perf_counter() if self.part is None else planned_origin(self.part)
        with self.published(time.time() + origin - time.perf_counter()) as minutes:
            ledger = self._ledger(self._record(sources), minutes, origin)
            ledger.close_part()  # a process that resumes the run needs its record
            turns = self._turns(sources, ledger, origin)
            if self.part is not None:
                return await self._end(planned_experiment(self, turns, ledger, origin), ledger)
            live = Live(turns=turns, ledger=ledger, watcher=self.watcher)
            return await self._end(self._experiment(live, ledger.record), ledger)

    async def _resume(self, restored: Restored) -> RunRecord:
        """Resume a run; its servers are checked when the first new turn is due."""
        if restored.is_over:
            return restored.record
        refuse_other_run(restored.record, self.settings, self.rounds, self.pins)
        origin = resumed_origin(restored.record, time.time(), time.perf_counter())
        now = time.perf_counter() - origin
        lost, done = now - last_known_seconds(restored.record), quantity(len(restored.record.turns), "turn", "turns")
        self.watcher.say(f"{self.run} continues after {done}, {lost / 60:.1f} min later")
        with self.published(time.time() - now) as minutes:
            ledger = self._ledger(restored.record, minutes, origin, part=restored.parts)
            ledger.close_part()

            async def go_live(candidate: Candidate) -> Live:
                """Return turns on the servers, for use from now on."""
                url = await self._met_again(candidate)
                salt, sources = f"after {now:.3f} s", {}
                for each in _served(restored.record.degrees) if url is not None else ():
                    asked = requests_of(restored.record, each)
                    sources[each] = await self._prompts(str(url), salt=salt, asked=asked)
                turns = self._turns(sources, ledger, origin)
                earlier = last_turns(restored.record.turns)
                return Live(turns=turns, ledger=ledger, watcher=self.watcher, last_turns=earlier)

            taking = RunReplay(restored, ledger, self.arena, now, go_live)
            return await self._end(self._experiment(taking, restored.record), ledger)

    async def _met_again(self, candidate: Candidate) -> str | None:
        """Meet the servers that run with those of ``candidate``, or else others; return one URL, or None.

        Any server of the model will do, because all count tokens alike. None also if ``halt`` was set meanwhile; the
        run then ends with its earlier results.
        """
        with contextlib.suppress(Interrupted):
            for together in sorted(self.rounds or (tuple(self._measured()),), key=lambda each: candidate not in each):
                await self.meet(together)
                urls = (url for each in together for url in self._measured().get(each, ()))
                if (first := next(urls, None)) is not None:
                    return first
        return None

    async def _end(self, experiment: Experiment | PlannedExperiment, ledger: Ledger) -> RunRecord:
        """Run ``experiment`` to its end, and record the state of the servers."""
        ended = await experiment.run()
        ledger.record = dataclasses.replace(ledger.record, steps=self.arena.steps)
        if ended.ending not in ("failed", "interrupted"):  # a resumed run needs the candidates that it began with
            degrees = tuple(each.after(self.arena.steps) for each in ledger.record.degrees)
            ledger.record = dataclasses.replace(ledger.record, degrees=degrees)
        record = ledger.end(ended.ending, ended.detail)
        if ledger.bucket_failure is not None:
            self.watcher.say(ledger.bucket_failure)
        return record

    async def prepare(self) -> RunRecord | None:
        """Only meet all servers; return the record if nothing can be measured, else None."""
        return await self._meet_all({})

    async def _meet_all(self, sources: dict[Candidate, prompts.Prompts]) -> RunRecord | None:
        """Meet the servers of every round and put their prompts into ``sources``.

        Returns the record of a run that ends without any load, because no candidate is left or the budget is spent.
        """
        try:
            for together in self.rounds or (tuple(self._measured()),):
                await self.meet(together)
                sources |= await self.sources(together)
        except Interrupted:
            if not self.arena.can_restart or self.halt.reasons[0][0] != "budget":
                raise
            detail = f"the budget ended while {self.arena.doing} (spend.budget_usd)"
            return self._without_load("budget", detail)
        if self._measured():
            return None
        return self._without_load("blocks", "no candidate was left to measure: each is decided already")

    def _without_load(self, ending: Ending, detail: str) -> RunRecord:
        return self._ledger(self._record({}), None, time.perf_counter()).end(ending, detail)

    async def meet(self, together: tuple[Candidate, ...]) -> None:
        """Bring the servers of ``together`` up and check their identity.

        A candidate whose servers we started and that fails the check leaves the run. Raises what ``conduct`` raises.
        """
        here = {each: urls for each, urls in self._measured().items() if each in together}
        if not self.arena.can_restart:
            self.watcher.stage("readiness and identity", total=self.ready_timeout_seconds)
            patience = self.ready_timeout_seconds
            await wait_until_healthy(here, timeout_seconds=patience, stop=self.halt.event, access=self.access)
            self._go_on_unless_halted()
            await self._check(here)
            return
        for each in tuple(here)[:1]:
            await self.arena.admit(each)
        if (failure := self.arena.failure()) is not None:
            raise ServerFailed(failure)
        self._go_on_unless_halted()
        for each in (one for one in here if one in self._measured()):
            try:
                await self._check({each: here[each]})
            except (SettingsError, ServerFailed) as error:
                await self.arena.refuse(each, str(error.problems[0] if isinstance(error, SettingsError) else error))

    async def _check(self, here: dict[Candidate, tuple[str, ...]]) -> None:
        await check_targets(here, self.settings, ignore_eos=self.ignore_eos, access=self.access, trace=self.trace)

    def _go_on_unless_halted(self) -> None:
        if self.halt.event.is_set():
            raise Interrupted(f"ended before anything was measured: {self.halt.reasons[0][1]}")

    def _measured(self) -> dict[Candidate, tuple[str, ...]]:
        """Return the URLs of all candidates that have not left the run."""
        return _served(each.after(self.arena.steps) for each in self._began_with)

    @property
    def _began_with(self) -> tuple[DegreeRecord, ...]:
        return self.degrees if self.restored is None else self.restored.record.degrees

    def targets(self) -> dict[Candidate, Target]:
        """Return the servers to measure, by candidate."""
        model, headers = self.settings.model.name, self.access.headers
        return {each: Target(urls=urls, model=model, headers=headers) for each, urls in self._measured().items()}

    async def sources(self, together: tuple[Candidate, ...]) -> dict[Candidate, prompts.Prompts]:
        """Return the prompts of ``together``: the same sequence for each candidate, so that their work is the same."""
        return {each: await self._prompts(urls[0]) for each, urls in self._measured().items() if each in together}

    async def _prompts(self, url: str, *, salt: str = "", asked: int = 0) -> prompts.Prompts:
        server = self.access.server(url)
        return await prompts_of(self.settings, server, trace=self.trace, share=self.share, salt=salt, asked=asked)

    @contextlib.contextmanager
    def published(self, origin_epoch_seconds: float) -> collections.abc.Iterator[Minutes | None]:
        """Yield the collector of metrics, which are published outside the event loop that measures."""
        if self.cloudwatch is None:
            yield None
            return
        minutes = Minutes(
            origin_epoch_seconds=origin_epoch_seconds,
            settle_seconds=self.settings.load.request_timeout_seconds,
            model_title=self.model_title,
        )
        with published(minutes, self.cloudwatch, self.folder, self.watcher):
            yield minutes

    @property
    def share(self) -> Share:
        """The share of every turn that this process sends."""
        return WHOLE if self.part is None else Share(index=self.part.pod, count=self.part.pods)

    def _ledger(self, record: RunRecord, minutes: Minutes | None, origin: float, *, part: int = 0) -> Ledger:
        return Ledger(
            record,
            self.folder,
            bucket=self.bucket,
            minutes=minutes,
            elapsed=lambda: time.perf_counter() - origin,
            share=self.share,
            part=part,
        )

    def _turns(self, sources: dict[Candidate, prompts.Prompts], ledger: Ledger, origin: float) -> Turns:
        return Turns(
            targets=self.targets(),
            prompts={each: turn_prompts(source, self.trace, self.share) for each, source in sources.items()},
            arena=self.arena,
            halt=self.halt,
            pause_seconds=self.settings.load.pause_seconds,
            clock=time.perf_counter,
            origin=origin,
            on_sample=ledger.add_sample,
            trust=self.access.trust,
            countings={each: countings(urls, self.access.server) for each, urls in self._measured().items()},
        )

    def _experiment(self, taking: Taking, record: RunRecord) -> Experiment:
        """Return the experiment with the candidates that ``record`` began with."""
        return Experiment(
            settings=self.settings,
            courses=courses_of(record.degrees, self.settings),
            taking=taking,
            watcher=self.watcher,
            halt=self.halt,
            ignore_eos=self.ignore_eos,
            rounds=self.rounds,
            can_restart=self.arena.can_restart,
            trace=self.trace,
        )

    def _record(self, sources: dict[Candidate, prompts.Prompts]) -> RunRecord:
        return RunRecord(
            run=self.run,
            started=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            place=self.place,
            settings=self.settings,
            pins=self.pins | said_of(sources.values(), ignore_eos=self.ignore_eos),
            degrees=tuple(each.after(self.arena.steps) for each in self.degrees),
            turns=(),
            ending="running",
            ending_detail=None,
            elapsed_seconds=0.0,
            part=self.part,
            rounds=self.rounds,
            steps=self.arena.steps,
            trace=None if self.trace is None else trace_record(self.trace),
            physics=self.physics,
        )


def _served(degrees: collections.abc.Iterable[DegreeRecord]) -> dict[Candidate, tuple[str, ...]]:
    return {each.candidate: each.urls for each in degrees if each.gate is None}
