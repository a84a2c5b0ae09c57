"""The experiment: warm-up, idle latency, rising load, then blocks in which every candidate has its turn."""

import collections.abc
import dataclasses
import itertools
import random

from optimal_tp.experiment.ledger import Judge, Ledger
from optimal_tp.experiment.turns import Halt, Turns
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.driver import Stretch
from optimal_tp.measurement.run import Ending
from optimal_tp.measurement.samples import Stage
from optimal_tp.measurement.shares import Share
from optimal_tp.plan.schedule import Arrivals, Closed, Constant, Poisson, own_share
from optimal_tp.plan.timetable import PlannedTurn, Rounds, Timetable, arrivals_seed, block_order, lengths_seed
from optimal_tp.settings.workload import Load, WorkloadSettings
from optimal_tp.telemetry.console import Watcher


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """How an experiment ended."""

    ending: Ending
    detail: str | None


@dataclasses.dataclass(kw_only=True)
class Experiment:
    """One run over ``candidates``, the ones that passed the gates, in rising order."""

    settings: WorkloadSettings
    candidates: tuple[Candidate, ...]
    turns: Turns
    judge: Judge
    ledger: Ledger
    watcher: Watcher
    halt: Halt
    clock: collections.abc.Callable[[], float]
    ignore_eos: bool
    rounds: Rounds | None = None
    """Candidates whose servers run at the same time, where all of them cannot."""

    async def run(self) -> Ended:
        """Run every stage; returns how it ended, with everything measured in the ledger."""
        deadline = self.clock() + self.settings.decision.budget_seconds
        for stage in (self._warm_up, self._idle, self._rising):
            await stage()
            self.ledger.close_part()
            if self.halt.event.is_set():
                return self._halted()
        return await self._blocks(deadline)

    async def _warm_up(self) -> None:
        self.watcher.stage("warm-up", total=None)
        for candidate in self.candidates:
            await self._take("warm_up", candidate, Closed(concurrency=1), requests=self.settings.load.warm_up_requests)

    async def _idle(self) -> None:
        self.watcher.stage("idle latency, one request at a time", total=None)
        for candidate in self.candidates:
            await self._take("idle", candidate, Closed(concurrency=1), requests=self.settings.load.idle_requests)

    async def _rising(self) -> None:
        load = self.settings.load
        steps = len(load.concurrency) * len(self.candidates)
        self.watcher.stage("rising load", total=steps * load.step_seconds)
        for candidate in self.candidates:
            for step in load.concurrency:
                await self._take("rising", candidate, Closed(concurrency=step), seconds=load.step_seconds)

    async def _blocks(self, deadline: float) -> Ended:
        decision = self.settings.decision
        # The same seed gives the same order of candidates in every block.
        order = random.Random(f"{self.settings.load.seed} order")
        self.watcher.stage("blocks", total=max(0.0, deadline - self.clock()))
        longest = 0.0
        began = self.clock()
        for block in range(decision.maximum_blocks):
            start = self.clock()
            if block >= 1 and start + longest > deadline:
                return Ended(ending="budget", detail=self._spent(block))
            for candidate in self._order(block, order):
                await self._take("block", candidate, self._arrivals(candidate, block), block=block)
                self.watcher.advance(f"block {block + 1}", done=self.clock() - began)
            self.ledger.close_part()
            if self.halt.event.is_set():
                return self._halted()
            longest = max(longest, self.clock() - start)
            if self._settled(block + 1):
                return Ended(ending="settled", detail=None)
        return Ended(ending="blocks", detail=f"all {decision.maximum_blocks} blocks were measured")

    def _order(self, block: int, order: random.Random) -> list[Candidate]:
        if self.rounds is None:
            return order.sample(self.candidates, len(self.candidates))
        return [each for each in block_order(self.rounds, block, order) if each in self.candidates]

    def _settled(self, blocks: int) -> bool:
        """Look after a block, and say what was seen."""
        if blocks < self.settings.decision.minimum_blocks:
            return False
        settled = self.judge.is_settled()
        self.watcher.look(self.judge.look(blocks))
        return settled and self.settings.decision.stop_when_settled

    def _spent(self, blocks: int) -> str:
        budget = self.settings.decision.budget_seconds
        return f"the budget of {budget:.0f} s ended after {blocks} blocks"

    def _halted(self) -> Ended:
        how, sentence = self.halt.reasons[0]
        return Ended(ending=how, detail=sentence)

    def _arrivals(self, candidate: Candidate, block: int) -> Arrivals:
        load = self.settings.load
        rate = load.rate_per_second
        if load.arrivals != "closed" and rate is None:
            highest = self.judge.highest_rate_per_second(candidate.degree)
            rate = None if highest is None else highest * load.utilisation
        if rate is None:
            return Closed(concurrency=self.judge.operating_concurrency(candidate.degree))
        if load.arrivals == "constant":
            return Constant(rate_per_second=rate)
        return Poisson(rate_per_second=rate, seed=arrivals_seed(load.seed, candidate, block))

    async def _take(
        self,
        stage: Stage,
        candidate: Candidate,
        arrivals: Arrivals,
        *,
        block: int | None = None,
        seconds: float | None = None,
        requests: int | None = None,
    ) -> None:
        if self.halt.event.is_set():
            return
        load = self.settings.load
        if seconds is None and requests is None:
            seconds = load.block_seconds
        stretch = asked_stretch(
            load,
            stage,
            candidate,
            arrivals,
            block=block,
            seconds=seconds,
            requests=requests,
            ignore_eos=self.ignore_eos,
        )
        figures = self.ledger.add_turn(await self.turns.take(stretch))
        if stage != "warm_up":
            self.watcher.say(figures)


def asked_stretch(  # noqa: PLR0913 - what tells one stretch from another
    load: Load,
    stage: Stage,
    candidate: Candidate,
    arrivals: Arrivals,
    *,
    block: int | None,
    seconds: float | None,
    requests: int | None,
    ignore_eos: bool,
) -> Stretch:
    """Return a stretch of the requests that ``load`` asks for."""
    return Stretch(
        stage=stage,
        degree=candidate.degree,
        max_num_seqs=candidate.max_num_seqs,
        block=block,
        arrivals=arrivals,
        seconds=seconds,
        requests=requests,
        max_tokens=load.output_tokens,
        output_range=load.output_range,
        seed=lengths_seed(load.seed, stage, block),
        routing=load.routing,
        ignore_eos=ignore_eos,
        request_timeout_seconds=load.request_timeout_seconds,
        grace_seconds=1,
    )


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
                turn.candidate,
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
