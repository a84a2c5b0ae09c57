"""Choose the load of each candidate's next turn from the results so far. It only steers: the race decides."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from optimal_tp.experiment.courses import Course, NextTurn
from optimal_tp.experiment.looks import look_at
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.counted import Counted
from optimal_tp.measurement.progress import Look
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted, of
from optimal_tp.plan.schedule import Closed, early
from optimal_tp.plan.traces import Trace, open_arrivals, recorded_arrivals
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.contest import flat_steps, goodput_race, throughput_race
from optimal_tp.verdict.race.blocks import Race, Standing
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.proof import proof
from optimal_tp.verdict.race.rates import FIRST_SHARE, LONGEST_MOVE, Bracket, TurnSize, block_rate
from optimal_tp.verdict.race.scoring import GoodputScoring, Throughput
from optimal_tp.verdict.readings import is_shown_to_miss, limits_by_share, reading, shares_within, throughput

LEAST_LOAD = 0.05
"""Requests in flight per server at the lowest rate to try, at which no request waits for another."""
MOST_DOUBLINGS = 11
"""Most steps of a load without limits: up to 1024 times the requests in flight of the first step."""
HELD_OUT_SHARE = 0.7
"""Load of the turn that tests the plan's prediction, as a share of the capacity, away from the loads of the fit."""
PROOF_SHARE, TAIL_PROOF_SHARE, MISS_SHARE = 0.9, 0.8, 1.1
"""Rates of the proof, as shares of the capacity: two to be held (the lower one for limits from 98 % on), one missed."""
TAIL = 0.98
SATURATED_LATENCIES = 4
"""Length of a saturated turn, in latencies of a request; the first and the last latency do not count."""


class Guidance:
    """Steers the turns of ``candidates`` and runs the race over their blocks."""

    def __init__(
        self,
        settings: WorkloadSettings,
        courses: Mapping[Candidate, Course],
        trace: Trace | None = None,
    ) -> None:
        """Start without any result. ``trace`` is the one that ``settings`` name."""
        self.settings = settings
        self._recorded = recorded_arrivals(settings.load, trace)
        self._mean_output = settings.load.output_tokens if trace is None else trace.mean_output
        self.limits = settings.limits.asked()
        self.courses = dict(courses)
        load = settings.load
        self._size = TurnSize(warm_in=load.warm_in, length=load.turn_length, least_requests=load.turn_requests)
        self._searched: list[Reading] = []
        self._blocks: list[list[Reading | Throughput]] = []
        self._withdrawn: set[Candidate] = set()
        self._race: tuple[GoodputScoring, Race[Reading]] | None = None
        self._throughputs: Race[Throughput] | None = None
        self.standing: Standing | None = None
        self._proof: list[Reading] = []

    @property
    def alone_seconds(self) -> float:
        """Time of one request alone at the slowest measured candidate; 1 before any was measured."""
        return max((each.alone_seconds for each in self.courses.values() if each.alone_seconds), default=1.0)

    def _alone(self, course: Course) -> float:
        """Return the time of one request alone at this candidate; if unknown, at the slowest candidate."""
        return course.alone_seconds or self.alone_seconds

    @property
    def asked(self) -> float:
        """The highest share of requests that must hold a limit."""
        return max(limits_by_share(self.limits))

    @property
    def remaining(self) -> tuple[Candidate, ...]:
        """The candidates that are still in the experiment."""
        return tuple(candidate for candidate in self.courses if candidate not in self._withdrawn)

    def withdraw(self, candidate: Candidate) -> None:
        """Continue without ``candidate``: earlier results are judged again over the others, as in the verdict."""
        if candidate in self._withdrawn:
            return
        self._withdrawn.add(candidate)
        if self._race is not None or self._throughputs is not None:
            blocks, self._blocks, self.standing = self._blocks, [], None
            self.begin()
            for found in blocks:
                self.add_block(found)

    # Before the blocks.

    def note_idle(self, candidate: Candidate, samples: Iterable[Sample]) -> None:
        """Note how long one request takes alone.

        A candidate that misses the limits by far even without a queue holds them at no rate, so it needs no bracket.
        """
        course = self.courses[candidate]
        own = list(samples)
        latencies = [ms for sample in own if (ms := sample.total_latency_ms) is not None]
        if latencies:
            course.alone_seconds = statistics.median(latencies) / 1000
        course.is_slow = any(share < asked / 2 for asked, share in shares_within(own, self.limits).items())

    def burst(self, candidate: Candidate) -> NextTurn:
        """Return a turn that keeps every slot busy: it gives a rough capacity and warms up the servers."""
        slots = self.courses[candidate].slots
        seconds = (self.settings.load.warm_in + 2) * self.alone_seconds
        return NextTurn(arrivals=Closed(concurrency=slots), seconds=seconds, requests=4 * slots)

    def note_burst(self, candidate: Candidate, turn: Turn, samples: Sequence[Sample]) -> None:
        """Begin the bracket at a share of the burst's throughput, or at a low rate if no request succeeded."""
        course = self.courses[candidate]
        finished = sum(sample.status == "ok" for sample in samples)
        elapsed = turn.end_seconds - turn.start_seconds
        lowest = LEAST_LOAD * course.servers / self._alone(course)
        rate = max(FIRST_SHARE * finished / elapsed if elapsed > 0 else 0.0, lowest)
        course.bracket = Bracket(
            math.log(rate / course.cores_used),
            floor=math.log(lowest / course.cores_used),
            most_turns=self.settings.load.bracket_turns,
        )

    def search(self, candidate: Candidate, seed: int) -> NextTurn | None:
        """Return the next turn of the bracket; None once it has ended. In a long bracket turns have half the length.

        If the settings state the rates, the bracket has each of them once.
        """
        course = self.courses[candidate]
        if course.is_slow:
            return None
        stated = self.settings.load.rates_per_second_per_core
        if stated is not None:
            taken = course.searched
            return self._open(candidate, math.log(stated[taken]), seed) if taken < len(stated) else None
        bracket = course.bracket
        if bracket is None or bracket.next is None:
            return None
        part = 0.5 if self.settings.load.bracket_turns > 2 else 1.0  # noqa: PLR2004 - two are the first two of a fit
        return self._open(candidate, bracket.next, seed, part)

    def note_search(self, found: Reading | None, candidate: Candidate) -> None:
        """Note the result of a turn of the bracket; a turn that was cut short ends the bracket where it is."""
        course = self.courses[candidate]
        bracket = course.bracket
        course.searched += 1
        if bracket is None:
            return
        if found is None:
            bracket.next = None
            return
        self._searched.append(found)
        bracket.add(found)
        course.is_slow = bracket.hopeless and self.settings.load.rates_per_second_per_core is None

    def rise(self, candidate: Candidate) -> NextTurn | None:
        """Return the next step of the load without limits; None once throughput no longer grows."""
        course = self.courses[candidate]
        taken = len(course.slots_steps)
        stated = self.settings.load.concurrency
        if stated is not None:
            return self._saturated(course, stated[taken]) if taken < len(stated) else None
        if taken >= MOST_DOUBLINGS or flat_steps([rate for _, rate in course.slots_steps]) >= 2:  # noqa: PLR2004
            return None
        return self._saturated(course, course.servers * 2**taken)

    def _saturated(self, course: Course, slots: int) -> NextTurn:
        latency = max(course.latency_seconds or 0.0, self._alone(course))
        seconds = max(self.settings.load.turn_length * self.alone_seconds, SATURATED_LATENCIES * latency)
        return NextTurn(arrivals=Closed(concurrency=slots), seconds=seconds)

    def note_rise(self, candidate: Candidate, slots: int, found: Throughput | None) -> None:
        """Note the throughput of a step; a step without any counts as the end of growth."""
        steps = self.courses[candidate].slots_steps
        steps.append((slots, -math.inf if found is None else found.log_rate))

    # In the blocks.

    def racing(self) -> tuple[Candidate, ...]:
        """Return the candidates that still take turns in blocks, ascending."""
        race = self._throughputs if self._race is None else self._race[1]
        racing = () if race is None else race.racing
        return tuple(sorted({*racing, *self.slow()}))

    def slow(self) -> tuple[Candidate, ...]:
        """Return the candidates that seem to hold the limits at no rate, as long as that is not shown."""
        alpha = (1 - self.settings.decision.confidence) / max(1, len(self.courses))
        return tuple(
            candidate
            for candidate, course in self._remaining()
            if course.is_slow and not is_shown_to_miss(course.slow_shares, alpha=alpha)
        )

    def begin(self) -> None:
        """Begin the race of the candidates whose bracket found a capacity."""
        fast = [candidate for candidate, course in self._remaining() if not course.is_slow]
        if not self.limits:
            self._throughputs = throughput_race(self.settings, fast)
            return
        self._race = goodput_race(self.settings, fast)
        for one in self._searched:
            if one.candidate in fast:
                self._race[0].open_with(one)

    def _remaining(self) -> list[tuple[Candidate, Course]]:
        return [(candidate, self.courses[candidate]) for candidate in self.remaining]

    def block(self, candidate: Candidate, block: int, seed: int) -> NextTurn:
        """Return the candidate's turn in ``block``."""
        course = self.courses[candidate]
        if course.is_slow:
            seconds = self.settings.load.turn_length * self.alone_seconds
            requests = max(5, self.settings.load.turn_requests // 5)
            return NextTurn(arrivals=Closed(concurrency=1), seconds=seconds, requests=requests)
        if not self.limits:
            return self._saturated(course, course.busiest)
        return self._open(candidate, self._next_rate(candidate, course, block), seed)

    def _next_rate(self, candidate: Candidate, course: Course, block: int) -> float:
        """Return the log rate of the next block: near the fitted capacity, or in long steps before there is a fit."""
        last = course.log_rate
        if last is None or self._race is None:
            lowest = 0.7 * course.servers / self._alone(course)
            return math.log(lowest / course.cores_used)
        scoring = self._race[0]
        by = scoring.fits.get(candidate)
        if by is None:
            return last
        stated = self.settings.load.rates_per_second_per_core
        if stated is not None:
            return min(map(math.log, stated), key=lambda rate: abs(rate - by.log_capacity))
        if not scoring.is_bracketed(candidate):
            return last + (LONGEST_MOVE if course.last_held else -LONGEST_MOVE)
        return block_rate(by, block, last)

    def _open(self, candidate: Candidate, log_rate: float, seed: int, part: float = 1.0) -> NextTurn:
        """Return an open turn at ``log_rate`` per core, its first counted request the first after the warm-in."""
        course = self.courses[candidate]
        rate = math.exp(log_rate) * course.cores_used
        alone = self._alone(course)
        opening = max(1, min(course.slots, round(rate * max(course.latency_seconds or 0.0, alone))))
        warm_in = self.settings.load.warm_in * self.alone_seconds
        # A request that missed the limit of one percentile may meet that of another, so with several wait for all.
        given_up = self.limits if len(limits_by_share(self.limits)) == 1 else {}
        arrivals = open_arrivals(self._recorded, rate, seed=seed, opening=opening)
        total, ttft = given_up.get("total_latency_ms"), given_up.get("ttft_ms")
        course.log_rate = log_rate
        requests = Counted(
            first=opening + early(arrivals, warm_in),
            count=self._size.counted(rate, self.alone_seconds, part=part),
            total_ms=None if total is None else total.at_most_ms,
            ttft_ms=None if ttft is None else ttft.at_most_ms,
        )
        return NextTurn(arrivals=arrivals, counted=requests)

    def note_latency(self, turn: Turn, samples: Sequence[Sample]) -> None:
        """Note how long requests take under load; the next turn's length and first requests follow from it."""
        latencies = [ms for sample in counted(turn, samples) if (ms := sample.total_latency_ms) is not None]
        if latencies:
            self.courses[of(turn)].latency_seconds = statistics.fmean(latencies) / 1000

    def reading(self, turn: Turn, samples: Sequence[Sample]) -> Reading | Throughput | None:
        """Return the result of ``turn`` in the race's terms."""
        course = self.courses[of(turn)]
        if not self.limits:
            return throughput(turn, samples, course.cores_used)
        if turn.rate_per_second is None and course.is_slow:
            shares = shares_within(samples, self.limits)
            course.slow_shares += [shares] if shares else []
            return None
        found = reading(turn, samples, self.limits, course.cores_used)
        if found is not None:
            course.last_held = found.is_held
        return found

    def add_block(self, found: Iterable[Reading | Throughput]) -> None:
        """Add the results of a block, and judge."""
        everything = [one for one in found if one.candidate not in self._withdrawn]
        self._blocks.append(everything)
        if self._race is not None:
            self.standing = self._race[1].add_block([one for one in everything if isinstance(one, Reading)])
        elif self._throughputs is not None:
            self.standing = self._throughputs.add_block([one for one in everything if isinstance(one, Throughput)])

    def is_settled(self) -> bool:
        """Whether there is a safe choice, and every candidate that seems to miss the limits is shown to miss them."""
        if self.slow():
            return False
        if all(course.is_slow for _, course in self._remaining()):
            return True
        return self.standing is not None and self.standing.safe is not None

    def look(self, *, seconds_left: float) -> Look:
        """Return the present result of the race, with ``seconds_left`` of the experiment's time."""
        return look_at(self.standing, self.settings.decision, seconds_left=seconds_left)

    # After the choice.

    def prove(self, chosen: Candidate, turn: int, seed: int) -> NextTurn | None:
        """Return the next turn of the proof, two of three at a rate to be held; None without a fitted capacity."""
        by = None if self._race is None else self._race[0].fits.get(chosen)
        if by is None:
            return None
        share = TAIL_PROOF_SHARE if self.asked >= TAIL else PROOF_SHARE
        if turn % 3 == 2:  # noqa: PLR2004 - every third
            share = MISS_SHARE
        return self._open(chosen, by.log_capacity + math.log(share), seed)

    def note_proof(self, found: Reading) -> bool:
        """Note a turn of the proof; return whether both rates are shown."""
        self._proof.append(found)
        shown = proof(self._proof, alpha=1 - self.settings.decision.confidence)
        return shown.held_per_second_per_core is not None and shown.missed_per_second_per_core is not None

    def held_out(self, candidate: Candidate, seed: int) -> NextTurn | None:
        """Return the open turn that tests the plan's prediction; None if no capacity is known."""
        course = self.courses[candidate]
        if self._race is not None:
            by = self._race[0].fits.get(candidate)
            return None if by is None else self._open(candidate, by.log_capacity + math.log(HELD_OUT_SHARE), seed)
        if not course.slots_steps:
            return None
        best = math.exp(max(rate for _, rate in course.slots_steps))
        return self._open(candidate, math.log(HELD_OUT_SHARE * best / self._mean_output), seed)
