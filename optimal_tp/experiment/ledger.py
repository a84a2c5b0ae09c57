"""Keep the results of a run on disk, in the bucket and in CloudWatch."""

import collections.abc
import dataclasses
import pathlib

from optimal_tp.errors import quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.metrics import METRICS, TurnFigures
from optimal_tp.measurement.run import Ending, RunRecord
from optimal_tp.measurement.run_audit import turn_reasons
from optimal_tp.measurement.samples import Sample, brief
from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.measurement.turns import (
    Turn,
    counted,
    is_given_up,
    of,
    output_tokens_per_second,
    own_turn,
    share_within,
)
from optimal_tp.results.folder import Bucket, samples_name, write_record
from optimal_tp.results.spool import Spool
from optimal_tp.results.turnlog import TurnLog
from optimal_tp.telemetry.minutes import Minutes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kept:
    """A turn that was kept."""

    turn: Turn
    samples: collections.abc.Sequence[Sample]
    faults: tuple[str, ...]
    """Reasons why it cannot be trusted; empty for a sound turn."""


class Ledger:
    """One run's samples and turns. Every method raises StorageFailed when the disk cannot be written."""

    def __init__(  # noqa: PLR0913 - a run's places, its clock, and which part of it this is
        self,
        record: RunRecord,
        folder: pathlib.Path,
        *,
        bucket: Bucket | None,
        minutes: Minutes | None,
        elapsed: collections.abc.Callable[[], float],
        share: Share = WHOLE,
        part: int = 0,
    ) -> None:
        """Keep the run that ``record`` describes in ``folder``; ``elapsed`` returns seconds since its origin.

        ``share`` is this process's part of every turn; turns and samples describe the whole load. ``part`` is the
        number of the next file of samples, if ``folder`` already has some of this run.
        """
        self.record = record
        self._folder = folder
        self._bucket = bucket
        self._minutes = minutes
        self._elapsed = elapsed
        self._share = share
        self._part = part
        # From an earlier process, which may not have uploaded the last of them to the bucket.
        self._unsent = [folder / samples_name(part - 1)] if part else []
        self._log = TurnLog(folder)
        self._spool: Spool | None = None
        self._turn: list[Sample] = []

    @property
    def bucket_failure(self) -> str | None:
        """Why the bucket lacks results; None if it has all of them, or if there is no bucket."""
        return None if self._bucket is None else self._bucket.failure

    def add_sample(self, sample: Sample) -> None:
        """Keep ``sample`` of the current turn."""
        if self._spool is None:
            # Even if this process is killed, the operating system has every sample.
            self._spool = Spool(self._folder / samples_name(self._part), buffer_bytes=0)
        self._spool.add(sample)
        self._turn.append(brief(sample))
        if self._minutes is not None:
            self._minutes.add(sample)

    def add_turn(self, turn: Turn) -> Kept:
        """Keep ``turn``, whose samples were added before."""
        own, self._turn = self._turn, []
        self._log.add(len(self.record.turns), turn)
        self.record = dataclasses.replace(self.record, turns=(*self.record.turns, turn))
        kept = self.kept(turn, own)
        if self._minutes is not None and turn.stage != "warm_up":
            values = self._values(turn, own, self._whole_rate(turn, own), kept.faults)
            self._minutes.add_turn(of(turn), turn.end_seconds, values)
        return kept

    def kept(self, turn: Turn, samples: collections.abc.Sequence[Sample]) -> Kept:
        """Return ``turn`` with its audit and its ``samples``, shortened by ``brief``; this keeps nothing."""
        return Kept(
            turn=turn,
            samples=samples,
            faults=turn_reasons(own_turn(turn, self._share), samples, self.record.settings, self.record.pins),
        )

    def close_part(self) -> None:
        """Secure everything kept so far: in the folder, then in the bucket."""
        files, self._unsent = self._unsent, []
        if self._spool is not None:
            self._spool.close()
            files.append(self._folder / samples_name(self._part))
            self._spool = None
            self._part += 1
        self.record = dataclasses.replace(self.record, elapsed_seconds=self._elapsed())
        files.append(write_record(self._folder, self.record))
        self._log.clear()
        if self._bucket is not None:
            self._bucket.store(files)

    def end(self, ending: Ending, detail: str | None) -> RunRecord:
        """Record how the run ended, and return its whole record."""
        self.record = dataclasses.replace(self.record, ending=ending, ending_detail=detail)
        self.close_part()
        return self.record

    def _whole_rate(self, turn: Turn, own: collections.abc.Sequence[Sample]) -> float | None:
        """Return the output tokens per second of all shares, judged by this one: the rate of a slot times all slots."""
        mine = own_turn(turn, self._share)
        rate = output_tokens_per_second(mine, own)
        if rate is None or turn.concurrency is None or mine.concurrency is None:
            return None if rate is None else rate * self._share.count
        return rate * turn.concurrency / mine.concurrency

    def _cores_used(self, candidate: Candidate) -> int:
        return next(each.cores_used for each in self.record.degrees if each.candidate == candidate)

    def _values(
        self, turn: Turn, samples: collections.abc.Sequence[Sample], rate: float | None, faults: tuple[str, ...]
    ) -> dict[str, float | None]:
        """Return the turn's values by the names of the metric table."""
        known = TurnFigures(
            turn=turn,
            samples=samples,
            output_tokens_per_second=rate,
            cores_used=self._cores_used(of(turn)),
            share_within=share_within(counted(turn, samples), self.record.settings.limits.asked()),
            faults=faults,
        )
        return {metric.name: metric.of_turn(known) for metric in METRICS if metric.of_turn is not None}

    def figures(self, kept: Kept) -> str:
        """Return the result of ``kept`` in one line."""
        turn, own = kept.turn, counted(kept.turn, kept.samples)
        rate = self._whole_rate(turn, kept.samples)
        latencies = sorted(value for sample in own if (value := sample.total_latency_ms) is not None)
        limits = self.record.settings.limits.asked()
        given_up = sum(is_given_up(sample, limits) for sample in own)
        failed = len(own) - len(latencies) - given_up
        where = turn.stage if turn.block is None else f"block {turn.block + 1}"
        load = f"{turn.rate_per_second:.3g}/s" if turn.concurrency is None else f"{turn.concurrency} in flight"
        if self._share != WHOLE:
            load += " from all pods"
        within = (
            "" if not limits or not own else f", {100 * (share_within(own, limits) or 0.0):.0f} % within the limits"
        )
        lost = [f"{each} {what}" for each, what in ((failed, "failed"), (given_up, "given up")) if each]
        count = quantity(len(own), "request", "requests") + (f" ({', '.join(lost)})" if lost else "") + within
        median = f"median {latencies[len(latencies) // 2]:,.0f} ms" if latencies else "no request succeeded"
        cores = self._cores_used(of(turn))
        speed = "no token count" if rate is None else f"{rate:,.1f} tok/s, {rate / cores:,.1f} per core"
        return "  ".join((f"{where:<8}", of(turn).name, load, count, median, speed))
