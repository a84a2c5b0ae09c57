"""Runs with a planted truth, as the load generator would have recorded them."""

import dataclasses
import heapq
import math
import pathlib
import random
import typing

from optimal_tp.measurement.run import DegreeRecord, Ending, RunRecord, encode_run
from optimal_tp.measurement.samples import Sample, Stage, encode
from optimal_tp.measurement.turns import Turn
from optimal_tp.settings.workload import Limit, LimitedMetric, WorkloadSettings, parse_workloads

Limits = typing.Mapping[LimitedMetric, Limit]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planted:
    """What one degree truly is."""

    degree: int
    latency_ms: float
    noise: float = 0.03
    """Standard deviation of the logarithm of a turn's mean latency."""
    jitter: float = 0.02
    """Standard deviation of the logarithm of a request's latency within its turn."""
    failing: float = 0.0
    """Share of requests that fail."""
    replicas: int = 1
    queueing: float = 1.0
    """How latency grows with concurrency: 1 for a server that takes one request at a time."""
    capacity: float | None = None
    """Requests per second per core at which just the asked share holds the limits; None for half of what the servers
    finish one after the other."""

    @property
    def log_capacity(self) -> float:
        """Logarithm of ``capacity``."""
        return math.log(self.capacity or 500 / self.latency_ms / self.degree)


SLOPE = 14.0
"""By how much the logit of the share within the limits falls per unit of the logarithm of the rate."""
UNCOUNTED = 5
"""Requests before the counted ones of an open turn."""
SEED_EXPERIMENT = (
    Planted(degree=1, latency_ms=290, noise=0.006),
    Planted(degree=2, latency_ms=255, noise=0.006),
    Planted(degree=4, latency_ms=205, noise=0.006),
)
"""Latencies of about 50 tokens in the figure of the AWS sample."""


def settings(**changes: typing.Any) -> dict[str, typing.Any]:
    """Return a ``workloads`` section with ``changes`` on top."""
    base: dict[str, typing.Any] = {"degrees": [1, 2, 4], "load": {"output_tokens": 50}}
    return {**base, **changes}


def parsed(section: dict[str, typing.Any]) -> WorkloadSettings:
    """Return ``section`` as a run record holds it."""
    return parse_workloads(section, file="run.json")


def total_limit(at_most_ms: float, percentile: float = 90) -> dict[str, typing.Any]:
    """Return a ``limits`` section with a limit on total latency."""
    return {"total_latency_ms": {"percentile": percentile, "at_most_ms": at_most_ms}}


def price(usd_per_hour: float = 4.8, billed_cores: int = 4) -> dict[str, typing.Any]:
    """Return a ``price`` section."""
    return {"usd_per_hour": usd_per_hour, "billed_cores": billed_cores, "source": "a test", "date": "2026-07-01"}


@dataclasses.dataclass(kw_only=True)
class Recorder:
    """Lays turns on a time line and keeps what they would have recorded."""

    seed: int = 1
    now_seconds: float = 0.0
    turns: list[Turn] = dataclasses.field(default_factory=list)
    samples: list[Sample] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def turn(
        self,
        truth: Planted,
        stage: Stage,
        *,
        requests: int,
        block: int | None = None,
        concurrency: int = 1,
        slowdown: float = 1.0,
    ) -> None:
        """Record one turn of ``requests`` in a closed loop; ``slowdown`` multiplies every latency."""
        level = truth.latency_ms / 1000 * slowdown * self.random.lognormvariate(0, truth.noise)
        level *= 1 + truth.queueing * (concurrency - 1) / truth.replicas
        start = self.now_seconds
        free = [(start, slot) for slot in range(concurrency)]
        common = _common(truth, stage, block, concurrency, None)
        for request in range(requests):
            intended, slot = free[0]
            end = intended + level * self.random.lognormvariate(0, truth.jitter)
            heapq.heapreplace(free, (end, slot))
            failed = self.random.random() < truth.failing
            self.samples.append(_request(common, request, intended, end, failed=failed))
        self.now_seconds = max(free)[0]
        self.turns.append(
            Turn(
                stage=stage,
                degree=truth.degree,
                block=block,
                concurrency=concurrency,
                rate_per_second=None,
                start_seconds=round(start, 6),
                end_seconds=round(self.now_seconds, 6),
                requests=requests,
                send_lag_p99_ms=0.4,
                foreign_cpu_share=0.002,
            )
        )
        self.now_seconds += 0.5

    def open_turn(  # noqa: PLR0913 - every part of a turn may be planted
        self,
        truth: Planted,
        stage: Stage,
        limits: Limits,
        *,
        aside: float,
        counted: int,
        block: int | None = None,
        slowdown: float = 1.0,
        rate: float | None = None,
    ) -> None:
        """Record one open turn whose rate lies ``aside`` of the capacity, in logarithms.

        Requests are independent: each holds every limit with the logistic chance at the turn's rate, or misses all.
        ``slowdown`` divides the capacity of this turn. ``rate`` is what the turn says its rate was, if not that.
        """
        rate = rate or round(math.exp(truth.log_capacity + aside) * truth.degree * truth.replicas, 6)
        asked = max(limit.percentile for limit in limits.values()) / 100
        beyond = aside + math.log(slowdown) + self.random.gauss(0, truth.noise)
        chance = 1 / (1 + math.exp(SLOPE * beyond - math.log(asked / (1 - asked))))
        start = intended = self.now_seconds
        samples = []
        common = _common(truth, stage, block, None, rate)
        most = min(limit.at_most_ms / PARTS[metric] for metric, limit in limits.items())
        longest = max(limit.at_most_ms / PARTS[metric] for metric, limit in limits.items())
        for request in range(UNCOUNTED + counted):
            within = self.random.random() < chance
            latency = truth.latency_ms * self.random.lognormvariate(0, truth.jitter)
            latency = min(latency, 0.98 * most) if within else 1.5 * longest
            failed = self.random.random() < truth.failing
            samples.append(_request(common, request, intended, intended + latency / 1000, failed=failed))
            intended += self.random.expovariate(rate)
        self.samples += samples
        self.now_seconds = max(sample.end_seconds for sample in samples)
        self.turns.append(
            Turn(
                stage=stage,
                degree=truth.degree,
                block=block,
                concurrency=None,
                rate_per_second=rate,
                start_seconds=round(start, 6),
                end_seconds=round(self.now_seconds, 6),
                requests=len(samples),
                uncounted=UNCOUNTED,
                counted=counted,
                send_lag_p99_ms=0.4,
                foreign_cpu_share=0.002,
            )
        )
        self.now_seconds += 0.5

    def bracket(self, truth: Planted, limits: Limits, *, counted: int = 100) -> None:
        """Record a turn far below the capacity and one far above it."""
        for aside in (-0.4, 0.4):
            self.open_turn(truth, "rising", limits, aside=aside, counted=counted)

    def open_blocks(
        self, truths: typing.Sequence[Planted], count: int, limits: Limits, *, counted: int = 100, closed: int = 20
    ) -> None:
        """Record ``count`` blocks, candidates in random order, each a little below or above its own capacity.

        A candidate that misses a limit even alone has ``closed`` requests one at a time.
        """
        first = 1 + max((turn.block for turn in self.turns if turn.block is not None), default=-1)
        for block in range(first, first + count):
            order = list(truths)
            self.random.shuffle(order)
            aside = 0.05 if block % 2 else -0.05
            for truth in order:
                if can_hold(truth, limits):
                    self.open_turn(truth, "block", limits, aside=aside, counted=counted, block=block)
                else:
                    self.turn(truth, "block", requests=closed, block=block)

    def blocks(
        self,
        truths: typing.Sequence[Planted],
        count: int,
        *,
        requests: int = 20,
        concurrency: int = 1,
        drift_per_block: float = 0.0,
    ) -> None:
        """Record ``count`` blocks, every degree once in each, in random order."""
        first = 1 + max((turn.block for turn in self.turns if turn.block is not None), default=-1)
        for block in range(first, first + count):
            order = list(truths)
            self.random.shuffle(order)
            for truth in order:
                slowdown = (1 + drift_per_block) ** block
                self.turn(truth, "block", requests=requests, block=block, concurrency=concurrency, slowdown=slowdown)

    def record(
        self,
        truths: typing.Sequence[Planted],
        section: dict[str, typing.Any] | None = None,
        *,
        ended: typing.Sequence[DegreeRecord] = (),
        ending: Ending = "settled",
        pins: dict[str, str] | None = None,
    ) -> RunRecord:
        """Return the run's record."""
        measured = [
            DegreeRecord(
                degree=truth.degree,
                gate=None,
                reason=None,
                urls=tuple(f"http://127.0.0.1:{8000 + truth.degree + index}" for index in range(truth.replicas)),
                cores_used=truth.degree * truth.replicas,
                cores_allocated=truth.degree * truth.replicas,
                ready_seconds=30.0,
            )
            for truth in truths
        ]
        return RunRecord(
            run="20260701T120000Z-test",
            started="2026-07-01T12:00:00Z",
            place="local",
            settings=parsed(section or settings(degrees=[truth.degree for truth in truths])),
            pins=pins or {"vllm": "0.32.0", "processor": "planted"},
            degrees=(*measured, *ended),
            turns=tuple(self.turns),
            ending=ending,
            ending_detail=None if ending == "settled" else "the budget of 60 s ended",
            elapsed_seconds=round(self.now_seconds, 3),
        )


PARTS: typing.Final[dict[LimitedMetric, float]] = {"total_latency_ms": 1.0, "ttft_ms": 0.1, "tpot_ms": 0.9 / 49}
"""Each limited figure as a share of a planted request's total latency."""


def can_hold(truth: Planted, limits: Limits) -> bool:
    """Whether a request alone holds every limit."""
    return all(truth.latency_ms * PARTS[metric] < limit.at_most_ms for metric, limit in limits.items())


def no_fit(degree: int, cores: int = 2) -> DegreeRecord:
    """Return the record of a degree that the machine cannot hold."""
    return DegreeRecord(
        degree=degree,
        gate="no-fit",
        reason=f"needs {degree} cores and this machine has {cores}",
        urls=(),
        cores_used=degree,
        cores_allocated=0,
        ready_seconds=None,
    )


def planted_run(  # noqa: PLR0913 - every part of a run may be planted
    truths: typing.Sequence[Planted] = SEED_EXPERIMENT,
    section: dict[str, typing.Any] | None = None,
    *,
    blocks: int = 24,
    requests: int = 20,
    counted: int = 50,
    seed: int = 1,
    rising: typing.Sequence[int] = (),
    ended: typing.Sequence[DegreeRecord] = (),
) -> tuple[RunRecord, list[Sample]]:
    """Return a whole run: idle turns, then a search and blocks.

    With limits turns are open and count ``counted`` requests; without limits the load rises over ``rising``, and blocks
    have ``requests`` at its first step.
    """
    plan = repr((truths, section, blocks, requests, counted, seed, rising, ended))
    if plan not in _PLANTED:
        _PLANTED[plan] = _planted_run(truths, section, (blocks, requests, counted), seed, rising, ended)
    record, samples = _PLANTED[plan]
    return record, list(samples)


_PLANTED: dict[str, tuple[RunRecord, list[Sample]]] = {}
"""Runs that were planted already; records are frozen, lists of samples are copied."""


def _planted_run(
    truths: typing.Sequence[Planted],
    section: dict[str, typing.Any] | None,
    sizes: tuple[int, int, int],
    seed: int,
    rising: typing.Sequence[int],
    ended: typing.Sequence[DegreeRecord],
) -> tuple[RunRecord, list[Sample]]:
    recorder = Recorder(seed=seed)
    asked = [truth.degree for truth in truths] + [degree.degree for degree in ended]
    section = section or settings(degrees=asked)
    limits = parsed(section).limits.asked()
    blocks, requests, counted = sizes
    for truth in truths:
        recorder.turn(truth, "idle", requests=20)
    if limits:
        for truth in truths:
            if can_hold(truth, limits):
                recorder.bracket(truth, limits, counted=counted)
        recorder.open_blocks(truths, blocks, limits, counted=counted, closed=requests)
    else:
        for truth in truths:
            for concurrency in rising:
                recorder.turn(truth, "rising", requests=20 * concurrency, concurrency=concurrency)
        recorder.blocks(truths, blocks, requests=requests, concurrency=rising[0] if rising else 1)
    return recorder.record(truths, section, ended=ended), recorder.samples


def store(folder: pathlib.Path, record: RunRecord, samples: typing.Iterable[Sample]) -> pathlib.Path:
    """Write a run as the load generator keeps it, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(encode_run(record))
    (folder / "samples.jsonl").write_text("".join(f"{encode(sample)}\n" for sample in samples))
    return folder


def _common(
    truth: Planted, stage: Stage, block: int | None, concurrency: int | None, rate: float | None
) -> dict[str, typing.Any]:
    """Return what the requests of one turn have in common."""
    return {
        "stage": stage,
        "degree": truth.degree,
        "block": block,
        "concurrency": concurrency,
        "rate_per_second": rate,
    }


def _request(common: dict[str, typing.Any], request: int, intended: float, end: float, *, failed: bool) -> Sample:
    """Return a request that was answered with 50 tokens in three chunks, or not at all."""
    intended, sent, end = round(intended, 6), round(intended + 0.0002, 6), round(end, 6)
    first = round(intended + (end - intended) * 0.1, 6)
    return Sample(
        **common,
        request=request,
        intended_seconds=intended,
        sent_seconds=sent,
        token_seconds=() if failed else (first, round((first + end) / 2, 6), end),
        end_seconds=end,
        prompt_tokens=None if failed else 30,
        output_tokens=None if failed else 50,
        status="timeout" if failed else "ok",
        http_status=None if failed else 200,
        detail="no answer within 60 s" if failed else None,
    )
