"""The experiment of several load generators: each follows the same timetable and sends its share of every turn."""

import dataclasses
import datetime as dt
import itertools
import time
import typing

from optimal_tp.errors import Interrupted, ServerFailed, quantity
from optimal_tp.experiment.ledger import Ledger
from optimal_tp.experiment.turns import Halt, Turns
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.counted import Counted
from optimal_tp.loadgen.stretch import Stretch
from optimal_tp.measurement.run import Ending, Part, RunRecord
from optimal_tp.measurement.samples import Stage
from optimal_tp.measurement.shares import Share
from optimal_tp.plan.schedule import Arrivals, own_share
from optimal_tp.plan.timetable import PlannedTurn, Timetable, lengths_seed, timetable
from optimal_tp.plan.traces import Trace
from optimal_tp.settings.workload import Load, WorkloadSettings
from optimal_tp.telemetry.console import Watcher

if typing.TYPE_CHECKING:
    from optimal_tp.experiment.session import Session


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentEnd:
    """How an experiment ended."""

    ending: Ending
    detail: str | None


def halted(halt: Halt) -> ExperimentEnd:
    """Return the end of an experiment that ``halt`` ended."""
    how, sentence = halt.reasons[0]
    return ExperimentEnd(ending=how, detail=sentence)


def failure_of(record: RunRecord) -> Interrupted | ServerFailed | None:
    """Return the signal or failure that ended a run early, as an exception; None for any other end."""
    if record.ending == "interrupted":
        return Interrupted(str(record.ending_detail))
    if record.ending == "failed":
        return ServerFailed(str(record.ending_detail))
    return None


def raise_ending(record: RunRecord) -> None:
    """Raise Interrupted or ServerFailed if a signal or a failure ended the run."""
    failure = failure_of(record)
    if failure is not None:
        raise failure


def asked_stretch(  # noqa: PLR0913 - all of it is in the stretch
    load: Load,
    stage: Stage,
    candidate: Candidate,
    arrivals: Arrivals,
    *,
    block: int | None,
    ignore_eos: bool,
    trace: Trace | None,
) -> Stretch:
    """Return a stretch of ``load``'s requests, without an end; with a ``trace``, requests have sizes of their own."""
    return Stretch(
        stage=stage,
        degree=candidate.degree,
        max_num_seqs=candidate.max_num_seqs,
        block=block,
        arrivals=arrivals,
        seconds=None,
        api=load.api,
        max_tokens=load.output_tokens if trace is None else trace.longest_output,
        output_range=load.output_range if trace is None else None,
        seed=lengths_seed(load.seed, stage, block),
        routing=load.routing,
        ignore_eos=ignore_eos,
        request_timeout_seconds=load.request_timeout_seconds,
        grace_seconds=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedExperiment:
    """The share of one process. It never evaluates its own results, which say nothing without the other shares."""

    settings: WorkloadSettings
    timetable: Timetable
    share: Share
    turns: Turns
    ledger: Ledger
    watcher: Watcher
    halt: Halt
    origin: float
    """The clock at the common start."""
    ignore_eos: bool
    trace: Trace | None = None

    async def run(self) -> ExperimentEnd:
        """Take this share's part of every turn; return how the experiment ended, with all results in the ledger."""
        table = self.timetable
        self.watcher.stage("the timetable", total=table.seconds)
        for _, together in itertools.groupby(table.turns, key=lambda turn: (turn.stage, turn.block)):
            for turn in together:
                await self._take(turn)
            self.ledger.close_part()
            if self.halt.event.is_set():
                return halted(self.halt)
        if table.by_budget:
            budget, held = self.settings.decision.budget_seconds, quantity(table.blocks, "block", "blocks")
            return ExperimentEnd(ending="budget", detail=f"the budget of {budget:.0f} s holds {held}")
        return ExperimentEnd(ending="blocks", detail=f"all {table.blocks} blocks were measured")

    async def _take(self, turn: PlannedTurn) -> None:
        share = own_share(turn.arrivals, self.share)
        if share is None or self.halt.event.is_set():
            return
        stretch = asked_stretch(
            self.settings.load,
            turn.stage,
            turn.candidate,
            turn.arrivals,
            block=turn.block,
            ignore_eos=self.ignore_eos,
            trace=self.trace,
        )
        stretch = dataclasses.replace(
            stretch,
            counted=_counted(turn, share),
            seconds=turn.seconds,
            requests=turn.requests,
            begin=self.origin + turn.begin_seconds,
            share=share,
        )
        taken = await self.turns.take(stretch)
        kept = None if taken is None else self.ledger.add_turn(taken)
        if kept is not None and turn.stage != "warm_up":
            self.watcher.say(self.ledger.figures(kept))
        self.watcher.advance(turn.stage, done=turn.begin_seconds + turn.seconds)


def _counted(turn: PlannedTurn, share: Share) -> Counted | None:
    """Return the requests of all processes that count; None where ``share`` sends none whose end it could wait for."""
    first, count = turn.counted or (0, 0)
    return Counted(first=first, count=count) if count and first + count > share.index else None


def planned_origin(part: Part) -> float:
    """Return the clock at the common start of ``part``. Raises ServerFailed if that has passed already."""
    left = dt.datetime.fromisoformat(part.start).timestamp() - time.time()
    if left < 0:
        raise ServerFailed(
            f"pod {part.pod} of {part.pods} was ready {-left:.1f} s after the common start ({part.start}), "
            "but all pods must send the same turns together; give them more time to start "
            "(loadtest.start_after_seconds)"
        )
    return time.perf_counter() + left


def planned_experiment(session: "Session", turns: Turns, ledger: Ledger, origin: float) -> PlannedExperiment:
    """Return ``session``'s share of the experiment; ``origin`` is the clock at the common start."""
    cores = {each.candidate: each.cores_used for each in ledger.record.degrees if each.gate is None}
    return PlannedExperiment(
        settings=session.settings,
        timetable=timetable(session.settings, cores, session.trace),
        share=session.share,
        turns=turns,
        ledger=ledger,
        watcher=session.watcher,
        halt=session.halt,
        origin=origin,
        ignore_eos=session.ignore_eos,
        trace=session.trace,
    )
