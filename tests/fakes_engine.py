"""A continuous-batching engine of the tests' own, every step by itself, and runs as a client would record them."""

import collections
import dataclasses
import math
import random
import typing

import numba
import numpy as np

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample, Stage
from optimal_tp.measurement.turns import Turn
from tests.fakes_run import Planted, Recorder


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrueEngine:
    """What the engine truly is. Seconds."""

    base: float
    per_sequence: float
    per_prompt_token: float
    slots: int
    prefill_first: bool = False
    overhead: float = 0.0
    batching: float = 0.0
    """What a step with several sequences takes beside."""
    prompts: tuple[int, int] = (8, 24)
    """Tokens, evenly between these."""
    outputs: tuple[int, int] = (8, 24)
    jitter: float = 0.0
    """Standard deviation of the logarithm of a step's seconds."""

    def capacity(self) -> float:
        """Return requests per second of a full engine, by the mean request: for loads, not for comparisons."""
        outputs, prompts = sum(self.outputs) / 2, sum(self.prompts) / 2
        entering = self.slots / outputs
        seconds = self.base + self.batching + self.per_sequence * self.slots
        seconds += self.per_prompt_token * prompts * entering
        if self.prefill_first:
            seconds += self.base * (1 - (1 - 1 / outputs) ** self.slots) + self.per_sequence * entering
        return entering / seconds


@dataclasses.dataclass(kw_only=True)
class _Request:
    number: int
    sent: float
    prompt: int
    output: int
    tokens: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(kw_only=True)
class Bench:
    """Puts loads on the engine, one after the other, and keeps what a client would have recorded."""

    engine: TrueEngine
    seed: int = 1
    turns: list[Turn] = dataclasses.field(default_factory=list)
    samples: list[Sample] = dataclasses.field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def timed(self) -> list[tuple[Turn, list[Sample]]]:
        """Return the turns with their samples."""
        found, rest = [], list(self.samples)
        for turn in self.turns:
            found.append((turn, rest[: turn.requests]))
            rest = rest[turn.requests :]
        return found

    def record(self, section: dict[str, typing.Any]) -> RunRecord:
        """Return the run's record."""
        recorder = Recorder(turns=list(self.turns), now_seconds=self.now)
        return recorder.record([Planted(degree=1, latency_ms=0)], section)

    def closed(self, stage: Stage, concurrency: int, requests: int, block: int | None = None) -> None:
        """Keep ``concurrency`` requests in flight until ``requests`` were sent."""
        start = self.now
        pending = [self._request(number, start) for number in range(min(concurrency, requests))]
        done = self._serve(pending, requests, 0.0005)
        self._record(stage, done, start, concurrency=concurrency, rate=None, block=block)

    def open(self, stage: Stage, rate: float, requests: int, block: int | None = None) -> None:
        """Send ``requests`` as a Poisson process."""
        start = moment = self.now
        pending = []
        for number in range(requests):
            moment += self.random.expovariate(rate)
            pending.append(self._request(number, moment))
        done = self._serve(pending, requests, None)
        self._record(stage, done, start, concurrency=None, rate=rate, block=block)

    def _request(self, number: int, sent: float) -> _Request:
        low, high = self.engine.prompts
        least, most = self.engine.outputs
        prompt, output = self.random.randint(low, high), self.random.randint(least, most)
        return _Request(number=number, sent=sent, prompt=prompt, output=output)

    def _serve(self, pending: list[_Request], requests: int, gap: float | None) -> list[_Request]:
        """Work step by step; with ``gap`` a request that left is followed by another after so many seconds."""
        engine, lag = self.engine, self.engine.overhead
        clock, created = 0.0, len(pending)
        waiting = collections.deque(pending)  # in the order of their sends
        running: list[_Request] = []
        done: list[_Request] = []
        while waiting or running:
            here: list[_Request] = []
            while waiting and waiting[0].sent + lag <= clock and len(running) + len(here) < engine.slots:
                here.append(waiting.popleft())
            if not here and not running:
                clock = waiting[0].sent + lag
                continue
            prompts = sum(one.prompt for one in here)
            active = here if engine.prefill_first and here else running + here
            seconds = engine.base + engine.per_sequence * len(active) + engine.per_prompt_token * prompts
            seconds += engine.batching if len(active) > 1 else 0.0
            clock += seconds * math.exp(self.random.gauss(0, engine.jitter))
            for one in active:
                one.tokens.append(clock)
            running += here
            ended = [one for one in running if len(one.tokens) >= one.output]
            running = [one for one in running if len(one.tokens) < one.output]
            done += ended
            if gap is not None:
                for _ in ended:
                    if created < requests:
                        waiting.append(self._request(created, clock + gap))
                        created += 1
        return sorted(done, key=lambda one: one.number)

    def _record(
        self,
        stage: Stage,
        done: list[_Request],
        start: float,
        *,
        concurrency: int | None,
        rate: float | None,
        block: int | None,
    ) -> None:
        for one in done:
            self.samples.append(
                Sample(
                    stage=stage,
                    degree=1,
                    block=block,
                    concurrency=concurrency,
                    rate_per_second=rate,
                    request=one.number,
                    intended_seconds=one.sent,
                    sent_seconds=one.sent,
                    token_seconds=tuple(moment + self.random.uniform(0, 0.0002) for moment in one.tokens),
                    end_seconds=one.tokens[-1] + 0.0003,
                    prompt_tokens=one.prompt,
                    output_tokens=one.output,
                    status="ok",
                    http_status=200,
                )
            )
        end = max(one.tokens[-1] for one in done) + 0.0003
        self.turns.append(
            Turn(
                stage=stage,
                degree=1,
                block=block,
                concurrency=concurrency,
                rate_per_second=rate,
                start_seconds=start,
                end_seconds=end,
                requests=len(done),
                send_lag_p99_ms=0.1,
                foreign_cpu_share=0.0,
            )
        )
        self.now = end + 0.5


def whole_run(engine: TrueEngine, seed: int = 1, blocks: int = 6) -> Bench:
    """Return a run as the load generator makes it: idle, rising, blocks near the engine's capacity."""
    bench = Bench(engine=engine, seed=seed)
    bench.closed("idle", 1, 10)
    level = 2
    while level <= engine.slots:
        bench.closed("rising", level, 6 * level)
        level *= 2
    for block in range(blocks):
        bench.open("block", (0.8 if block % 2 else 0.9) * engine.capacity(), 120, block)
    return bench


def long_run(engine: TrueEngine, rate: float, count: int, seed: int) -> dict[str, np.ndarray]:
    """Return total latency, TTFT and TPOT in ms of a Poisson stream, without its first fifth."""
    generator = np.random.default_rng(seed)
    sent = np.cumsum(generator.exponential(1 / rate, count))
    prompts = generator.integers(engine.prompts[0], engine.prompts[1] + 1, count)
    outputs = generator.integers(engine.outputs[0], engine.outputs[1] + 1, count)
    firsts, lasts = stepwise(sent, prompts, outputs, steps_of(engine, seed))
    late = slice(count // 5, None)
    return {
        "total_latency_ms": 1000 * (lasts - sent + engine.overhead)[late],
        "ttft_ms": 1000 * (firsts - sent + engine.overhead)[late],
        "tpot_ms": 1000 * ((lasts - firsts) / (outputs - 1))[late],
    }


class Steps(typing.NamedTuple):
    """The engine as the compiled loop reads it."""

    base: float
    batching: float
    per_sequence: float
    per_prompt_token: float
    slots: int
    prefill_first: bool
    factors: np.ndarray
    """By which steps vary, one after the other, from the start again at the end."""


def steps_of(engine: TrueEngine, seed: int = 0) -> Steps:
    """Return the engine for ``stepwise``."""
    factors = np.exp(np.random.default_rng(seed).normal(0.0, engine.jitter, 10_007))
    costs = engine.base, engine.batching, engine.per_sequence, engine.per_prompt_token
    return Steps(*costs, engine.slots, engine.prefill_first, factors)


@numba.njit
def stepwise(sent: np.ndarray, prompts: np.ndarray, outputs: np.ndarray, steps: Steps) -> tuple[np.ndarray, np.ndarray]:
    """Return when each request's first and last token came: one server, every step by itself."""
    count, done = len(sent), 0
    firsts, lasts, given = np.zeros(count), np.zeros(count), np.zeros(count, np.int64)
    running = np.zeros(count, np.bool_)
    oldest, upcoming, clock = 0, 0, 0.0
    while oldest < count:
        inside = 0
        for one in range(oldest, upcoming):
            inside += running[one]
        entered, prompt = 0, 0
        while upcoming < count and sent[upcoming] <= clock and inside + entered < steps.slots:
            running[upcoming] = True
            prompt += prompts[upcoming]
            entered += 1
            upcoming += 1
        if inside + entered == 0:
            clock = sent[upcoming]
            continue
        only_new = steps.prefill_first and entered > 0
        sequences = entered if only_new else inside + entered
        seconds = steps.base + steps.per_sequence * sequences + steps.per_prompt_token * prompt
        seconds += steps.batching if sequences > 1 else 0.0
        clock += seconds * steps.factors[done % len(steps.factors)]
        done += 1
        for one in range(upcoming - entered if only_new else oldest, upcoming):
            if running[one]:
                given[one] += 1
                if given[one] == 1:
                    firsts[one] = clock
                if given[one] == outputs[one]:
                    lasts[one] = clock
                    running[one] = False
        while oldest < upcoming and not running[oldest]:
            oldest += 1
    return firsts, lasts
