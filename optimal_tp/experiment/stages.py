"""The stages of the experiment: one request at a time, search for the capacity, blocks, proof, held-out turns."""

import collections.abc
import dataclasses
import itertools
import random

from optimal_tp.errors import quantity
from optimal_tp.experiment.courses import Course, NextTurn, block_orders
from optimal_tp.experiment.guidance import Guidance
from optimal_tp.experiment.ledger import Kept
from optimal_tp.experiment.planned import ExperimentEnd, asked_stretch, halted
from optimal_tp.experiment.taking import Taking
from optimal_tp.experiment.turns import Halt
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.samples import Stage
from optimal_tp.plan.schedule import Closed
from optimal_tp.plan.timetable import Rounds
from optimal_tp.plan.traces import Trace
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.telemetry.console import Watcher
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.scoring import Throughput

BLOCKS_A_VISIT = 4
"""Blocks per start of the servers. Servers that take turns measure this many blocks before the next ones start, because
a change takes minutes. Servers that all run at once are restarted after this many, until each had STARTS starts."""
STARTS = 3
"""Starts of every server: three visits give the least number of blocks."""


@dataclasses.dataclass(kw_only=True)
class Experiment:
    """One run over the candidates of ``courses``, those that passed the gates."""

    settings: WorkloadSettings
    courses: collections.abc.Mapping[Candidate, Course]
    taking: Taking
    watcher: Watcher
    halt: Halt
    ignore_eos: bool
    rounds: Rounds | None = None
    """Candidates whose servers run at the same time; None if all do and we did not start them."""
    can_restart: bool = False
    """Whether servers that all run at the same time can be restarted."""
    trace: Trace | None = None
    """Source of the requests' sizes and, if the settings say so, of their times; None: both are drawn."""

    def __post_init__(self) -> None:
        self.guidance = Guidance(self.settings, self.courses, self.trace)
        self._running: list[Candidate] = [] if self.rounds else list(self.courses)
        self._starts = dict.fromkeys(self.courses, -1 if self.rounds else 0)
        self._cold: set[Candidate] = set()
        self._longest = 0.0
        self._deadline = float("inf")

    async def run(self) -> ExperimentEnd:
        """Run every stage; return how the experiment ended, with all results in the ledger."""
        deadline = self._deadline = self.taking.now() + self.settings.decision.budget_seconds
        for together in self._together():
            for stage in (self._alone, self._search if self.guidance.limits else self._rise):
                for candidate in together:
                    if candidate in self.guidance.remaining:
                        await stage(candidate)
                self.taking.close_part()
                if self.halt.event.is_set():
                    return halted(self.halt)
        self.guidance.begin()
        ended = await self._blocks(deadline)
        if self.halt.event.is_set():
            return halted(self.halt)
        await self._prove(deadline)
        await self._hold_out(deadline)
        self.taking.close_part()
        return halted(self.halt) if self.halt.event.is_set() else ended

    def _together(self) -> list[list[Candidate]]:
        """Return the candidates by round; a single round if all servers run at once."""
        if self.rounds is None:
            return [list(self.courses)]
        return [[candidate for candidate in together if candidate in self.courses] for together in self.rounds]

    async def _alone(self, candidate: Candidate) -> None:
        load = self.settings.load
        self.watcher.stage(f"{candidate.name} alone, one request at a time", total=None)
        one = Closed(concurrency=1)
        await self._take("warm_up", candidate, NextTurn(arrivals=one, requests=load.warm_up_requests))
        kept = await self._take("idle", candidate, NextTurn(arrivals=one, requests=load.idle_requests))
        if kept is not None:
            self.guidance.note_idle(candidate, kept.samples)

    async def _search(self, candidate: Candidate) -> None:
        if self.guidance.courses[candidate].is_slow:
            return
        self.watcher.stage(f"finding the highest rate at which {candidate.name} meets the limits", total=None)
        kept = await self._take("rising", candidate, self.guidance.burst(candidate))
        if kept is not None:
            self.guidance.note_burst(candidate, kept.turn, kept.samples)
        for number in itertools.count():
            asked = self.guidance.search(candidate, self._seed("search", number))
            if asked is None or self.halt.event.is_set() or self.taking.now() > self._deadline:
                return
            kept = await self._take("rising", candidate, asked)
            found = None if kept is None else self._said(kept)
            self.guidance.note_search(found if isinstance(found, Reading) else None, candidate)

    async def _rise(self, candidate: Candidate) -> None:
        self.watcher.stage(f"finding the load that saturates {candidate.name}", total=None)
        while (asked := self.guidance.rise(candidate)) is not None and not self.halt.event.is_set():
            if self.taking.now() > self._deadline:
                return
            kept = await self._take("rising", candidate, asked)
            found = None if kept is None else self._said(kept)
            slots = asked.arrivals.concurrency or 1
            self.guidance.note_rise(candidate, slots, found if isinstance(found, Throughput) else None)

    async def _blocks(self, deadline: float) -> ExperimentEnd:
        decision, most = self.settings.decision, self.settings.decision.last_block
        self.watcher.stage("blocks", total=max(0.0, deadline - self.taking.now()))
        # The same seed gives the same order of candidates in every block.
        orders = block_orders(tuple(self.courses), random.Random(f"{self.settings.load.seed} order"))
        visit = BLOCKS_A_VISIT if len(self._together()) > 1 else 1
        began, block = self.taking.now(), 0
        longest = {False: 0.0, True: 0.0}  # without a restart, and with one
        while block < most:
            done = quantity(block, "block", "blocks")
            if not self.guidance.remaining:
                return ExperimentEnd(ending="blocks", detail=f"no candidate was left after {done}")
            start, restarts = self.taking.now(), self._restarts_before(block)
            left = self._longest * len(self.courses)  # the turns that test the prediction
            if start + max(longest[False], longest[restarts]) + left > deadline:
                spent = f"the budget of {decision.budget_seconds:.0f} s ended after {done}"
                return ExperimentEnd(ending="budget", detail=spent)
            numbers = range(block, min(block + visit, most))
            if restarts:
                await self._restart()
            found = await self._visit(numbers, {number: next(orders) for number in numbers})
            if self.halt.event.is_set():
                return halted(self.halt)
            if not self.guidance.remaining:
                continue
            for number in numbers:
                self.guidance.add_block(found[number])
                self.watcher.look(self.guidance.look(seconds_left=deadline - self.taking.now()))
            block = numbers.stop
            self.watcher.advance(f"block {block}", done=self.taking.now() - began)
            self.taking.close_part()
            longest[restarts] = max(longest[restarts], self.taking.now() - start)
            if self.guidance.is_settled() and self._may_stop():
                return ExperimentEnd(ending="settled", detail=None)
        return ExperimentEnd(ending="blocks", detail=f"all {most} blocks were measured")

    def _restarts_before(self, block: int) -> bool:
        """Whether to restart servers that all run at once, so that each has as many starts as servers in turns have."""
        at_once = self.can_restart and len(self._together()) == 1
        return at_once and block in range(BLOCKS_A_VISIT, STARTS * BLOCKS_A_VISIT, BLOCKS_A_VISIT)

    async def _restart(self) -> None:
        self.watcher.stage("restarting the servers", total=None)
        await self.taking.restart(self.guidance.remaining[0])
        self._note_start(list(self.courses))
        self.watcher.stage("blocks", total=max(0.0, self._deadline - self.taking.now()))

    def _note_start(self, candidates: collections.abc.Iterable[Candidate]) -> None:
        for candidate in candidates:
            self._starts[candidate] += 1
            self._cold.add(candidate)

    def _may_stop(self) -> bool:
        standing = self.guidance.standing
        if self.settings.decision.stop_when_settled or standing is None:
            return True
        return all(pair.is_better or pair.turned().is_better for pair in standing.pairs)

    async def _visit(self, blocks: range, orders: dict[int, list[Candidate]]) -> dict[int, list[Reading | Throughput]]:
        """Measure ``blocks``; servers that take turns measure all of them before the next servers start."""
        found: dict[int, list[Reading | Throughput]] = {block: [] for block in blocks}
        racing = self.guidance.racing()
        together = self._order_of_visit(blocks.start // BLOCKS_A_VISIT)
        for here in together:
            for block in blocks:
                for candidate in (each for each in orders[block] if each in here and each in racing):
                    if candidate not in self.guidance.remaining:
                        continue
                    asked = self.guidance.block(candidate, block, self._seed("block", block))
                    kept = await self._take("block", candidate, asked, block=block)
                    said = None if kept is None else self._said(kept)
                    if said is not None:
                        found[block].append(said)
            if len(together) > 1:
                self.taking.close_part()  # the change of servers takes longer
        return found

    def _order_of_visit(self, visit: int) -> list[list[Candidate]]:
        """Return the rounds of a visit in order, so that a slow drift affects all candidates equally.

        Three and more rotate (A B C, B C A, C A B), so that every visit is a new start of every server; two alternate
        (A B, B A), because B A would be followed by another A without a start in between.
        """
        together = self._together()
        if len(together) == 2:  # noqa: PLR2004 - they have no third place to rotate to
            return together[:: -1 if visit % 2 else 1]
        first = visit % len(together)
        return together[first:] + together[:first]

    async def _prove(self, deadline: float) -> None:
        standing = self.guidance.standing
        end = min(
            deadline - self._longest * len(self.courses), self.taking.now() + self.settings.decision.proof_seconds
        )
        if standing is None or standing.safe is None or not self.guidance.is_settled():
            return
        self.watcher.stage(f"proving the rate of {standing.safe.name}", total=max(0.0, end - self.taking.now()))
        for number in itertools.count():
            asked = self.guidance.prove(standing.safe, number, self._seed("proof", number))
            if asked is None or self.taking.now() + self._longest > end or self.halt.event.is_set():
                return
            kept = await self._take("proof", standing.safe, asked, block=number)
            if kept is None:
                return
            said = self._said(kept)
            if isinstance(said, Reading) and self.guidance.note_proof(said):
                return

    async def _hold_out(self, deadline: float) -> None:
        """Take one open turn of every candidate in the comparison, to test the plan's prediction."""
        for here in self._together():
            for candidate in (each for each in here if each in self.guidance.remaining):
                asked = self.guidance.held_out(candidate, self._seed("held out", 0))
                if asked is None or self.halt.event.is_set() or self.taking.now() > deadline:
                    continue
                await self._take("held_out", candidate, asked)

    def _seed(self, what: str, number: int) -> int:
        """Return the seed of a turn's arrivals: the same for every candidate, so that chance affects all equally."""
        return random.Random(f"{self.settings.load.seed} {what} {number}").getrandbits(32)

    def _said(self, kept: Kept) -> Reading | Throughput | None:
        """Return the result of a sound turn; None if it failed the audit or was cut short."""
        self.guidance.note_latency(kept.turn, kept.samples)
        # Claims do not rest on the bracket, so even a turn with a fault may steer it.
        is_lost = kept.turn.cut_short or (kept.faults and kept.turn.stage != "rising")
        return None if is_lost else self.guidance.reading(kept.turn, kept.samples)

    async def _take(
        self, stage: Stage, candidate: Candidate, asked: NextTurn, *, block: int | None = None
    ) -> Kept | None:
        """Take one turn; None if the run is halted, or the candidate left it because its servers did not come back.

        The first turn after a start of its servers is discarded.
        """
        if candidate not in self.guidance.remaining:
            return None
        if candidate not in self._running:
            self._running = next([*together] for together in self.rounds or () if candidate in together)
            self._note_start(each for each in self._running if each in self._starts)
        is_restarted = await self.taking.is_restarted(candidate, self._starts[candidate])
        if is_restarted and candidate not in self._cold:
            self._note_start([candidate])
        if candidate in self._cold:
            self._cold.remove(candidate)
            if stage != "warm_up" and await self._once("warm_up", candidate, asked, block) is None:
                return None
        return await self._once(stage, candidate, asked, block)

    async def _once(self, stage: Stage, candidate: Candidate, asked: NextTurn, block: int | None) -> Kept | None:
        if self.halt.event.is_set():
            return None
        stretch = asked_stretch(
            self.settings.load,
            stage,
            candidate,
            asked.arrivals,
            block=block,
            ignore_eos=self.ignore_eos,
            trace=self.trace,
        )
        stretch = dataclasses.replace(stretch, counted=asked.counted, seconds=asked.seconds, requests=asked.requests)
        began = self.taking.now()
        kept = await self.taking.take(stretch, self._starts[candidate])
        if kept is None:
            self._withdraw_unless_halted(candidate)
            return None
        if stage != "warm_up" or len(self._together()) > 1:  # with one round only warm-ups hold a start of servers
            self._longest = max(self._longest, kept.turn.end_seconds - began)
        return kept

    def _withdraw_unless_halted(self, candidate: Candidate) -> None:
        if not self.halt.event.is_set():
            self.watcher.say(f"{candidate.name} leaves the experiment: its servers did not come back")
            self.guidance.withdraw(candidate)
