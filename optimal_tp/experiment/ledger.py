"""What a run has measured so far: on disk whole, in memory only what decisions need."""

import collections.abc
import dataclasses
import pathlib

from optimal_tp.measurement.metrics import METRICS, TurnFigures
from optimal_tp.measurement.progress import Look, Ratio
from optimal_tp.measurement.run import Ending, RunRecord
from optimal_tp.measurement.run_audit import Seen, audit_run, turn_reasons
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.measurement.turns import Turn, goodput, key, output_tokens_per_second, own_turn, samples_by_turn
from optimal_tp.results.folder import Bucket, samples_name, write_record
from optimal_tp.results.spool import Spool
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.telemetry.minutes import Minutes
from optimal_tp.verdict.curve import operating_point
from optimal_tp.verdict.rule import decide


class Ledger:
    """One run's samples and turns. Raises StorageFailed from every method when the disk takes no more."""

    def __init__(
        self,
        record: RunRecord,
        folder: pathlib.Path,
        *,
        bucket: Bucket | None,
        minutes: Minutes | None,
        elapsed: collections.abc.Callable[[], float],
        share: Share = WHOLE,
    ) -> None:
        """Keep the run that ``record`` describes in ``folder``; ``elapsed`` returns seconds since its origin.

        ``share``: which part of every turn is here; turns and samples say what the whole of them was to be.
        """
        self.record = record
        self.samples: list[Sample] = []
        """Every sample, its tokens' times cut down to the first and the last."""
        self._folder = folder
        self._bucket = bucket
        self._minutes = minutes
        self._elapsed = elapsed
        self._share = share
        self._part = 0
        self._spool: Spool | None = None
        self._turn: list[Sample] = []

    @property
    def bucket_failure(self) -> str | None:
        """Why the bucket does not hold everything; None if it does or there is none."""
        return None if self._bucket is None else self._bucket.failure

    def add_sample(self, sample: Sample) -> None:
        """Keep ``sample`` of the turn under way."""
        if self._spool is None:
            self._spool = Spool(self._folder / samples_name(self._part))
        self._spool.add(sample)
        self._turn.append(dataclasses.replace(sample, token_seconds=_ends(sample.token_seconds)))
        if self._minutes is not None:
            self._minutes.add(sample)

    def add_turn(self, turn: Turn) -> str:
        """Keep ``turn``, whose samples were added before; returns its figures in one line."""
        own, self._turn = self._turn, []
        self.samples.extend(own)
        self.record = dataclasses.replace(self.record, turns=(*self.record.turns, turn))
        rate = self._whole_rate(turn, own)
        if self._minutes is not None and turn.stage != "warm_up":
            self._minutes.add_turn(turn.degree, turn.end_seconds, self._values(turn, own, rate))
        return self._figures(turn, own, rate)

    def close_part(self) -> None:
        """Make everything kept so far safe: in the folder, then in the bucket."""
        files = []
        if self._spool is not None:
            self._spool.close()
            files.append(self._folder / samples_name(self._part))
            self._spool = None
            self._part += 1
        self.record = dataclasses.replace(self.record, elapsed_seconds=self._elapsed())
        files.append(write_record(self._folder, self.record))
        if self._bucket is not None:
            self._bucket.store(files)

    def end(self, ending: Ending, detail: str | None) -> RunRecord:
        """Keep how the run ended, and return its whole record."""
        self.record = dataclasses.replace(self.record, ending=ending, ending_detail=detail)
        self.close_part()
        return self.record

    def _whole_rate(self, turn: Turn, own: collections.abc.Sequence[Sample]) -> float | None:
        """Return the output tokens per second of all shares, as this one has them: that of a slot times all slots."""
        mine = own_turn(turn, self._share)
        rate = output_tokens_per_second(mine, own)
        if rate is None or turn.concurrency is None or mine.concurrency is None:
            return None if rate is None else rate * self._share.count
        return rate * turn.concurrency / mine.concurrency

    def _cores_used(self, degree: int) -> int:
        return next(item.cores_used for item in self.record.degrees if item.degree == degree)

    def _values(
        self, turn: Turn, samples: collections.abc.Sequence[Sample], rate: float | None
    ) -> dict[str, float | None]:
        """Return the turn's values by the names of the metric table."""
        faults = turn_reasons(own_turn(turn, self._share), samples, self.record.settings, self.record.pins)
        known = TurnFigures(
            turn=turn,
            samples=samples,
            output_tokens_per_second=rate,
            cores_used=self._cores_used(turn.degree),
            goodput_share=goodput(samples, self.record.settings.limits.asked()),
            faults=tuple(faults),
        )
        return {metric.name: metric.of_turn(known) for metric in METRICS if metric.of_turn is not None}

    def _figures(self, turn: Turn, samples: collections.abc.Sequence[Sample], rate: float | None) -> str:
        latencies = sorted(value for sample in samples if (value := sample.total_latency_ms) is not None)
        failed = len(samples) - len(latencies)
        where = turn.stage if turn.block is None else f"block {turn.block + 1}"
        load = f"{turn.rate_per_second:.3g}/s" if turn.concurrency is None else f"{turn.concurrency} in flight"
        if self._share != WHOLE:
            load += " from all pods"
        count = f"{len(samples)} requests" + (f" ({failed} failed)" if failed else "")
        median = f"median {latencies[len(latencies) // 2]:,.0f} ms" if latencies else "no request succeeded"
        cores = self._cores_used(turn.degree)
        speed = "no token count" if rate is None else f"{rate:,.1f} tok/s, {rate / cores:,.1f} per core"
        return "  ".join((f"{where:<8}", f"TP{turn.degree}", load, count, median, speed))


def _ends(moments: tuple[float, ...]) -> tuple[float, ...]:
    return moments if len(moments) < 2 else (moments[0], moments[-1])  # noqa: PLR2004


class Judge:
    """Looks at ``ledger`` whenever it is asked."""

    def __init__(self, settings: WorkloadSettings, ledger: Ledger) -> None:
        """Judge by ``settings``."""
        self._settings = settings
        self._ledger = ledger
        self._operating: dict[int, int] | None = None
        self._reason = ""
        self._seen: Seen = {}
        self._ratios: tuple[Ratio, ...] = ()

    def operating_concurrency(self, degree: int) -> int:
        """Return the step of the rising load at which ``degree`` is compared; the lowest if nothing was measured."""
        if self._operating is None:
            limits = self._settings.limits.asked()
            self._operating = operating_point(self._ledger.record.turns, self._ledger.samples, limits)
        return self._operating.get(degree, self._settings.load.concurrency[0])

    def highest_rate_per_second(self, degree: int) -> float | None:
        """Return the highest rate of completed requests among ``degree``'s rising turns; None if none completed."""
        grouped = samples_by_turn(self._ledger.samples)
        rates = [
            sum(sample.status == "ok" for sample in grouped.get(key(turn), ()))
            / (turn.end_seconds - turn.start_seconds)
            for turn in self._ledger.record.turns
            if turn.stage == "rising" and turn.degree == degree and turn.end_seconds > turn.start_seconds
        ]
        return max(rates, default=0) or None

    def is_settled(self) -> bool:
        """Whether the verdict, with the self-audit applied, is settled."""
        audited = audit_run(self._ledger.record, self._ledger.samples, seen=self._seen)
        verdict = decide(audited.record, audited.samples, audited.void_reasons)
        self._ratios = tuple(
            Ratio(first=pair.first, second=pair.second, value=pair.ratio.value, interval=pair.ratio.interval)
            for pair in verdict.comparisons
            if pair.ratio is not None
        )
        self._reason = "; ".join([verdict.outcome, *verdict.reasons[:1]])
        return verdict.outcome == "settled"

    def look(self, blocks: int) -> Look:
        """Return the last look, after so many blocks."""
        return Look(blocks=blocks, reason=self._reason, ratios=self._ratios)
