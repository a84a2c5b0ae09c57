"""One run from the servers' readiness to its whole record: the same in a cluster, on one machine, and elsewhere."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import datetime as dt
import itertools
import pathlib
import secrets
import signal
import time
import typing

import botocore.exceptions

from optimal_tp.errors import Interrupted, Problem, ServerFailed, SettingsError, StorageFailed
from optimal_tp.experiment.courses import Course
from optimal_tp.experiment.ledger import Ledger
from optimal_tp.experiment.planned import PlannedExperiment
from optimal_tp.experiment.stages import Experiment
from optimal_tp.experiment.targets import check_targets, wait_until_healthy
from optimal_tp.experiment.turns import Arena, Halt, Turns
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.calls import Server
from optimal_tp.loadgen.stretch import Target
from optimal_tp.measurement.run import EXACT, OUTPUT_TOKENS, PROMPT_TOKENS, DegreeRecord, Part, RunRecord
from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.plan import prompts
from optimal_tp.plan.timetable import Rounds, timetable
from optimal_tp.results.folder import Bucket
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.telemetry.console import Watcher
from optimal_tp.telemetry.minutes import Minutes
from optimal_tp.telemetry.publish import CloudWatch, Outbox, Publisher


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """Everything a run needs, handed in."""

    run: str
    place: typing.Literal["local", "cluster", "own-servers"]
    settings: WorkloadSettings
    degrees: tuple[DegreeRecord, ...]
    """All candidates that the settings ask for; the ones with a gate are not measured."""
    arena: Arena
    folder: pathlib.Path
    """Where samples and record are kept."""
    bucket: Bucket | None
    cloudwatch: CloudWatch | None
    """None publishes nothing."""
    pins: dict[str, str]
    watcher: Watcher
    halt: Halt
    ignore_eos: bool
    """Ask servers for exactly the planned tokens; an extension of vLLM's."""
    ready_timeout_seconds: float
    rounds: Rounds | None = None
    """Candidates whose servers run at the same time, where all of them cannot; None where they can."""
    model_title: str = ""
    """The model's, before the candidate in the metrics of a sweep; empty for one model alone."""
    part: Part | None = None
    """Which part of the run is done here; None does all of it."""

    async def conduct(self) -> RunRecord:
        """Run the experiment and return its record.

        Raises SettingsError for targets that are not what they should be, StorageFailed when results cannot be kept,
        Interrupted when ``halt`` was set before anything was measured.
        """
        self.watcher.stage("readiness and identity", total=self.ready_timeout_seconds)
        sources: dict[Candidate, prompts.Prompts] = {}
        for together in self.rounds or (tuple(self._measured()),):
            await self._meet(together)
            sources |= await self.sources(together)
        sources = dict(sorted(sources.items()))
        origin = time.perf_counter() if self.part is None else planned_origin(self.part)
        with self.published(time.time() + origin - time.perf_counter()) as minutes:
            ledger = Ledger(
                self._record(sources),
                self.folder,
                bucket=self.bucket,
                minutes=minutes,
                elapsed=lambda: time.perf_counter() - origin,
                share=self.share,
            )
            ended = await self._experiment(sources, ledger, origin).run()
            record = ledger.end(ended.ending, ended.detail)
        if ledger.bucket_failure is not None:
            self.watcher.say(ledger.bucket_failure)
        return record

    async def _meet(self, together: tuple[Candidate, ...]) -> None:
        """Wait for the servers of ``together`` and see that they are what they should be."""
        if self.rounds is not None:
            await self.arena.admit(together[0])
            failure = self.arena.failure()
            if failure is not None:
                raise ServerFailed(failure)
        here = {each: urls for each, urls in self._measured().items() if each in together}
        await wait_until_healthy(here, timeout_seconds=self.ready_timeout_seconds, stop=self.halt.event)
        if self.halt.event.is_set():
            raise Interrupted(f"ended before anything was measured: {self.halt.reasons[0][1]}")
        await check_targets(here, self.settings, ignore_eos=self.ignore_eos)

    def _measured(self) -> dict[Candidate, tuple[str, ...]]:
        return {each.candidate: each.urls for each in self.degrees if each.gate is None}

    def targets(self) -> dict[Candidate, Target]:
        """Return the servers that are measured, by candidate."""
        return {each: Target(urls=urls, model=self.settings.model.name) for each, urls in self._measured().items()}

    async def sources(self, together: tuple[Candidate, ...]) -> dict[Candidate, prompts.Prompts]:
        """Return the prompts of ``together``: the same sequence for each candidate, so that their work is the same."""
        return {each: await self._prompts(urls) for each, urls in self._measured().items() if each in together}

    @contextlib.contextmanager
    def published(self, origin_epoch_seconds: float) -> collections.abc.Iterator[Minutes | None]:
        """Yield what collects metrics, and publish it meanwhile, off the event loop that measures."""
        if self.cloudwatch is None:
            yield None
            return
        minutes = Minutes(
            origin_epoch_seconds=origin_epoch_seconds,
            settle_seconds=self.settings.load.request_timeout_seconds,
            model_title=self.model_title,
        )
        outbox = self.folder / "outbox"
        failures = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
        publisher = Publisher(
            minutes, self.cloudwatch, Outbox(outbox, self.watcher.say), self.watcher.say, failures=failures
        )
        publisher.start()
        try:
            yield minutes
        finally:
            self._finish(publisher, outbox)

    def _finish(self, publisher: Publisher, outbox: pathlib.Path) -> None:
        """Send what is left. Metrics that cannot be kept are said, not raised: the run's own end matters more."""
        try:
            left = publisher.finish()
        except StorageFailed as error:
            self.watcher.say(str(error))
            return
        if left:
            self.watcher.say(f"{left} requests to CloudWatch could not be sent; they are in {outbox}")
            return
        with contextlib.suppress(OSError):  # what CloudWatch refused is kept there
            outbox.rmdir()

    @property
    def share(self) -> Share:
        """Which share of every turn is sent from here."""
        return WHOLE if self.part is None else Share(index=self.part.pod, count=self.part.pods)

    def _experiment(
        self, sources: dict[Candidate, prompts.Prompts], ledger: Ledger, origin: float
    ) -> Experiment | PlannedExperiment:
        turns = Turns(
            targets=self.targets(),
            # A prompt that two processes sent could be answered from a prefix cache.
            prompts={
                candidate: itertools.islice(source.each, self.share.index, None, self.share.count)
                for candidate, source in sources.items()
            },
            arena=self.arena,
            halt=self.halt,
            pause_seconds=self.settings.load.pause_seconds,
            clock=time.perf_counter,
            origin=origin,
            on_sample=ledger.add_sample,
        )
        if self.part is not None:
            return PlannedExperiment(
                settings=self.settings,
                timetable=timetable(
                    self.settings, {each.candidate: each.cores_used for each in self.degrees if each.gate is None}
                ),
                share=self.share,
                turns=turns,
                ledger=ledger,
                watcher=self.watcher,
                halt=self.halt,
                origin=origin,
                ignore_eos=self.ignore_eos,
            )
        return Experiment(
            settings=self.settings,
            courses=self._courses(),
            turns=turns,
            ledger=ledger,
            watcher=self.watcher,
            halt=self.halt,
            clock=time.perf_counter,
            ignore_eos=self.ignore_eos,
            rounds=self.rounds,
        )

    def _courses(self) -> dict[Candidate, Course]:
        """Return the candidates that are measured, with what drives them."""
        return {
            each.candidate: Course(
                servers=len(each.urls),
                cores_used=each.cores_used,
                slots=len(each.urls) * self.settings.model.batch_of(each.candidate),
            )
            for each in self.degrees
            if each.gate is None
        }

    def _record(self, sources: dict[Candidate, prompts.Prompts]) -> RunRecord:
        first = next(iter(sources.values()))
        said = {
            "prompts": f"{first.words}, {'unique' if first.unique else 'repeated: a prefix cache may answer'}",
            PROMPT_TOKENS: EXACT if first.exact else "as the server counts",
            OUTPUT_TOKENS: EXACT if self.ignore_eos else "at most",
        }
        return RunRecord(
            run=self.run,
            started=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            place=self.place,
            settings=self.settings,
            pins=self.pins | said,
            degrees=self.degrees,
            turns=(),
            ending="running",
            ending_detail=None,
            elapsed_seconds=0.0,
            part=self.part,
            rounds=self.rounds,
        )

    async def _prompts(self, urls: tuple[str, ...]) -> prompts.Prompts:
        load = self.settings.load
        if load.prompt == "seed":
            return prompts.repeated()
        if load.prompt_file is not None:
            return _of_file(load.prompt_file)
        ids = await Server(url=urls[0]).tokens(self.settings.model.name, " ".join(prompts.WORDS))
        return prompts.synthetic(ids, load.prompt_tokens, seed=load.seed)


def _of_file(path: str) -> prompts.Prompts:
    """Return the prompts in the file ``path``. Raises SettingsError for one without any, or that cannot be read."""
    try:
        return prompts.from_lines(pathlib.Path(path).read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        rule = f"it names a text file of prompts ({error.strerror if isinstance(error, OSError) else error})"
        problem = Problem(path="workloads.load.prompt_file", value=path, rule=rule, remedy="name another file")
        raise SettingsError([problem]) from None


def planned_origin(part: Part) -> float:
    """Return the clock at the common start of ``part``. Raises ServerFailed when that is over already."""
    left = dt.datetime.fromisoformat(part.start).timestamp() - time.time()
    if left < 0:
        raise ServerFailed(
            f"pod {part.pod} of {part.pods} was ready {-left:.1f} s after the common start ({part.start}); "
            "all pods send their shares of the same turns, so give them more time to start "
            "(loadtest.start_after_seconds)"
        )
    return time.perf_counter() + left


def run_name(now: dt.datetime) -> str:
    """Return a name for a run that starts ``now``: UTC time and four characters, so that no two collide."""
    return f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def failure_of(record: RunRecord) -> Interrupted | ServerFailed | None:
    """Return what ended a run early, a signal or a failure; None for any other end."""
    if record.ending == "interrupted":
        return Interrupted(str(record.ending_detail))
    if record.ending == "failed":
        return ServerFailed(str(record.ending_detail))
    return None


def raise_ending(record: RunRecord) -> None:
    """Raise Interrupted or ServerFailed for a run that was ended by a signal or a failure."""
    failure = failure_of(record)
    if failure is not None:
        raise failure


@contextlib.contextmanager
def halting_on_signals(halt: Halt) -> collections.abc.Iterator[None]:
    """Set ``halt`` on SIGINT and SIGTERM while inside. A second signal does nothing more: ending takes seconds."""
    loop = asyncio.get_running_loop()
    words = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
    for number, word in words.items():
        loop.add_signal_handler(number, halt.set, "interrupted", f"{word} ended the run; the samples so far are kept")
    try:
        yield
    finally:
        for number in words:
            loop.remove_signal_handler(number)
