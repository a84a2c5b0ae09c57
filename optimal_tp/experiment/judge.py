"""The verdict's rules, applied to what a run has measured so far."""

from optimal_tp.experiment.ledger import Ledger
from optimal_tp.measurement.progress import Look, Ratio
from optimal_tp.measurement.run_audit import Seen, audit_run
from optimal_tp.measurement.turns import key, samples_by_turn
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.curve import operating_point
from optimal_tp.verdict.rule import decide


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
