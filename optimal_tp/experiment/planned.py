"""One process's part of an experiment that several run together: its share of every turn, by the timetable."""

import dataclasses
import itertools

from optimal_tp.experiment.ledger import Ledger
from optimal_tp.experiment.stages import Ended, asked_stretch
from optimal_tp.experiment.turns import Halt, Turns
from optimal_tp.measurement.shares import Share
from optimal_tp.plan.schedule import own_share
from optimal_tp.plan.timetable import PlannedTurn, Timetable
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.telemetry.console import Watcher


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedExperiment:
    """The share of one process. It never looks at what it measured: alone, that says nothing."""

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

    async def run(self) -> Ended:
        """Take every turn in which this share has a part; returns how it ended, with everything in the ledger."""
        table = self.timetable
        self.watcher.stage("the timetable", total=table.seconds)
        for _, together in itertools.groupby(table.turns, key=lambda turn: (turn.stage, turn.block)):
            for turn in together:
                await self._take(turn)
            self.ledger.close_part()
            if self.halt.event.is_set():
                how, sentence = self.halt.reasons[0]
                return Ended(ending=how, detail=sentence)
        if table.by_budget:
            budget = self.settings.decision.budget_seconds
            return Ended(ending="budget", detail=f"the budget of {budget:.0f} s holds {table.blocks} blocks")
        return Ended(ending="blocks", detail=f"all {table.blocks} blocks were measured")

    async def _take(self, turn: PlannedTurn) -> None:
        share = own_share(turn.arrivals, self.share)
        if share is None or self.halt.event.is_set():
            return
        stretch = dataclasses.replace(
            asked_stretch(
                self.settings.load,
                turn.stage,
                turn.degree,
                turn.arrivals,
                block=turn.block,
                seconds=turn.seconds,
                requests=turn.requests,
                ignore_eos=self.ignore_eos,
            ),
            begin=self.origin + turn.begin_seconds,
            share=share,
        )
        figures = self.ledger.add_turn(await self.turns.take(stretch))
        if turn.stage != "warm_up":
            self.watcher.say(figures)
        self.watcher.advance(turn.stage, done=turn.begin_seconds + turn.seconds)
