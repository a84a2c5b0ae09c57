"""Runs with a planted truth, as the load generator would have recorded them."""

import dataclasses
import pathlib
import random
import typing

from optimal_tp.measurement.run import DegreeRecord, Ending, RunRecord, encode_run
from optimal_tp.measurement.samples import Sample, Stage, Status, encode
from optimal_tp.measurement.turns import Turn
from optimal_tp.settings.workload import WorkloadSettings, parse_workloads


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


SEED_EXPERIMENT = (
    Planted(degree=1, latency_ms=290, noise=0.006),
    Planted(degree=2, latency_ms=255, noise=0.006),
    Planted(degree=4, latency_ms=205, noise=0.006),
)
"""Latencies of about 50 tokens in the figure of the seed experiment."""


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
        free = [start] * concurrency
        for request in range(requests):
            slot = min(range(concurrency), key=free.__getitem__)
            intended = free[slot]
            free[slot] = intended + level * self.random.lognormvariate(0, truth.jitter)
            status: Status = "timeout" if self.random.random() < truth.failing else "ok"
            blank = Sample(
                stage=stage,
                degree=truth.degree,
                block=block,
                concurrency=concurrency,
                rate_per_second=None,
                request=request,
                intended_seconds=round(intended, 6),
                sent_seconds=round(intended + 0.0002, 6),
                token_seconds=(),
                end_seconds=round(free[slot], 6),
                prompt_tokens=None,
                output_tokens=None,
                status=status,
                http_status=None,
                detail="no answer within 60 s",
            )
            self.samples.append(_served(blank) if status == "ok" else blank)
        self.now_seconds = max(free)
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


def no_fit(degree: int, cores: int = 2) -> DegreeRecord:
    """Return the record of a degree that the machine cannot hold."""
    return DegreeRecord(
        degree=degree,
        gate="no-fit",
        reason=f"needs {degree} cores; this machine has {cores}",
        urls=(),
        cores_used=degree,
        cores_allocated=0,
        ready_seconds=None,
    )


def planted_run(  # noqa: PLR0913 - every part of a run may be planted
    truths: typing.Sequence[Planted] = SEED_EXPERIMENT,
    section: dict[str, typing.Any] | None = None,
    *,
    blocks: int = 10,
    requests: int = 20,
    seed: int = 1,
    rising: typing.Sequence[int] = (),
    ended: typing.Sequence[DegreeRecord] = (),
) -> tuple[RunRecord, list[Sample]]:
    """Return a whole run: idle turns, a rising load over ``rising``, then ``blocks`` blocks."""
    plan = repr((truths, section, blocks, requests, seed, rising, ended))
    if plan not in _PLANTED:
        _PLANTED[plan] = _planted_run(truths, section, blocks, requests, seed, rising, ended)
    record, samples = _PLANTED[plan]
    return record, list(samples)


_PLANTED: dict[str, tuple[RunRecord, list[Sample]]] = {}
"""Runs that were planted already; records are frozen, lists of samples are copied."""


def _planted_run(  # noqa: PLR0917, PLR0913 - as planted_run
    truths: typing.Sequence[Planted],
    section: dict[str, typing.Any] | None,
    blocks: int,
    requests: int,
    seed: int,
    rising: typing.Sequence[int],
    ended: typing.Sequence[DegreeRecord],
) -> tuple[RunRecord, list[Sample]]:
    recorder = Recorder(seed=seed)
    for truth in truths:
        recorder.turn(truth, "idle", requests=20)
    for truth in truths:
        for concurrency in rising:
            recorder.turn(truth, "rising", requests=20 * concurrency, concurrency=concurrency)
    recorder.blocks(truths, blocks, requests=requests)
    asked = [truth.degree for truth in truths] + [degree.degree for degree in ended]
    return recorder.record(truths, section or settings(degrees=asked), ended=ended), recorder.samples


def store(folder: pathlib.Path, record: RunRecord, samples: typing.Iterable[Sample]) -> pathlib.Path:
    """Write a run as the load generator keeps it, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(encode_run(record))
    (folder / "samples.jsonl").write_text("".join(f"{encode(sample)}\n" for sample in samples))
    return folder


def _served(blank: Sample, tokens: int = 50) -> Sample:
    """Return ``blank`` as a request that was answered with ``tokens`` in three chunks."""
    first = round(blank.intended_seconds + (blank.end_seconds - blank.intended_seconds) * 0.1, 6)
    middle = round((first + blank.end_seconds) / 2, 6)
    return dataclasses.replace(
        blank,
        token_seconds=(first, middle, blank.end_seconds),
        prompt_tokens=30,
        output_tokens=tokens,
        http_status=200,
        detail=None,
    )
