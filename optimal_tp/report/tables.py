"""The report's tables as rows of text, the same for Markdown, HTML and the terminal."""

import dataclasses
from collections.abc import Sequence

from optimal_tp.measurement.estimate import (
    METRIC_WORDS,
    MISSING,
    Estimate,
    bounds,
    duration,
    figure,
    percent,
    ranged,
    usd,
)
from optimal_tp.measurement.node_bill import Receipt
from optimal_tp.measurement.steps import Step
from optimal_tp.report.document import Document
from optimal_tp.report.physics.buckets import BUCKETS_CAPTION, BUCKETS_HEADS, bucket_rows
from optimal_tp.report.predicted import PREDICTED_CAPTION, PREDICTED_HEADS, predicted_rows
from optimal_tp.report.servers import SERVERS_CAPTION, SERVERS_HEADS, server_rows
from optimal_tp.report.words import badge, capital
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.comparisons import UNIT
from optimal_tp.verdict.predictions import HeldOut

TOO_FEW = "too few requests"
"""Stands for a percentile that so few requests cannot show."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A caption, the columns' heads and the rows."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def without_blanks(self) -> "Table":
        """Return it without the columns in which no row has a figure; of no rows as it is."""
        told = [place for place in range(len(self.heads)) if any(row[place] != MISSING for row in self.rows)]
        if not self.rows:
            return self
        return Table(
            caption=self.caption,
            heads=tuple(self.heads[place] for place in told),
            rows=tuple(tuple(row[place] for place in told) for row in self.rows),
        )


def tables(analysis: Analysis, found: Document) -> tuple[Table, ...]:
    """Return every table that has rows, the most telling first; of each the columns that have a figure."""
    every = (
        degree_table(analysis),
        limit_table(analysis),
        latency_table(analysis),
        comparison_table(analysis),
        load_table(analysis),
        Table(caption=PREDICTED_CAPTION, heads=PREDICTED_HEADS, rows=predicted_rows(analysis.predicted)),
        held_out_table(() if analysis.prediction is None else analysis.prediction.held_out),
        core_table(found),
        cost_table(analysis),
        start_up_table(analysis.record.steps),
        Table(caption=SERVERS_CAPTION, heads=SERVERS_HEADS, rows=server_rows(found.servers)),
        Table(caption=BUCKETS_CAPTION, heads=BUCKETS_HEADS, rows=bucket_rows(analysis)),
        receipt_table(analysis.record.receipt),
    )
    return tuple(table.without_blanks() for table in every if table.rows)


def degree_table(analysis: Analysis) -> Table:
    """Return one row per candidate: its word, the number that decided it, and the compared point."""
    return Table(
        caption="Each candidate, its result and the number that decided it, at the compared point",
        heads=(
            "Candidate",
            "Result",
            "Decided by",
            "Fitted goodput, requests/s per core",
            "Tokens/s per core",
            "Median latency in ms",
            "Within",
            "Requests",
            "Failed",
            "Given up",
        ),
        rows=tuple(
            (
                degree.name,
                badge(analysis.verdict, degree),
                degree.ground.sentence,
                figure(degree.goodput_per_second_per_core),
                ranged(degree.tokens_per_second_per_core),
                ranged(degree.median_latency_ms),
                percent(degree.share_within),
                f"{degree.requests:,}",
                f"{degree.failed:,}",
                f"{degree.given_up:,}" if degree.limits else MISSING,
            )
            for degree in analysis.verdict.degrees
        ),
    )


def limit_table(analysis: Analysis) -> Table:
    """Return one row per candidate and limit."""
    return Table(
        caption="Latency limits near each candidate's own capacity: share within, and the percentile with its range",
        heads=("Candidate", "Limit", "Within", "Percentile in ms"),
        rows=tuple(
            (
                degree.name,
                f"p{one.percent:g} of {METRIC_WORDS[one.metric]} at most {figure(one.at_most_ms)} ms",
                percent(one.hits / one.requests if one.requests else None),
                ranged(one.latency_ms),
            )
            for degree in analysis.verdict.degrees
            for one in degree.limits
        ),
    )


def latency_table(analysis: Analysis) -> Table:
    """Return one row per candidate, stage and metric."""
    return Table(
        caption="Latency in ms from the planned send; each range at the run's confidence",
        heads=("Candidate", "Load", "Metric", "p50", "p90", "p99", "Requests"),
        rows=tuple(
            (
                row.name,
                "one at a time" if row.stage == "idle" else "blocks",
                METRIC_WORDS[row.metric],
                _percentile(row.p50_ms, 50, row.requests),
                _percentile(row.p90_ms, 90, row.requests),
                _percentile(row.p99_ms, 99, row.requests),
                f"{row.requests:,}",
            )
            for row in analysis.latencies
        ),
    )


def _percentile(estimate: Estimate | None, of: float, requests: int) -> str:
    """Return a percentile with its range, unless fewer than one request is expected beyond it."""
    return TOO_FEW if requests * (100 - of) < 100 else ranged(estimate)  # noqa: PLR2004 - percent


def comparison_table(analysis: Analysis) -> Table:
    """Return one row per pair of candidates."""
    verdict = analysis.verdict
    near = " near their capacity" if verdict.criterion == "goodput" else ""
    fewer = f"; only blocks count that both ran undisturbed{near}"
    caption = f"{capital(UNIT[verdict.criterion])}, paired block by block; all ranges hold together"
    return Table(
        caption=caption + fewer * any(one.blocks < verdict.blocks for one in verdict.comparisons),
        heads=("Pair", "Ratio", "Shown", "Blocks", "Noise of the log ratio"),
        rows=tuple(
            (
                f"{one.first} / {one.second}",
                ranged(one.ratio),
                one.word if one.why_open is None else one.why_open,
                str(one.blocks),
                percent(one.log_deviation),
            )
            for one in analysis.verdict.comparisons
        ),
    )


def load_table(analysis: Analysis) -> Table:
    """Return one row per candidate and load."""
    return Table(
        caption="Every load measured; the bracket only finds where to compare",
        heads=(
            "Candidate",
            "Turns",
            "Requests/s per core",
            "In flight",
            "Tokens/s per core",
            "Median latency in ms",
            "Within",
            "Requests",
        ),
        rows=tuple(
            (
                step.candidate.name,
                "bracket" if step.stage == "rising" else "blocks",
                figure(step.rate_per_second_per_core),
                MISSING if step.concurrency is None else str(step.concurrency),
                figure(step.tokens_per_second_per_core),
                figure(step.latency_p50_ms),
                percent(step.share_within),
                f"{step.requests:,}",
            )
            for step in analysis.steps
        ),
    )


def core_table(found: Document) -> Table:
    """Return one row per candidate and way of counting cores."""
    return Table(
        caption="Output tokens/s per core, for each way of counting cores",
        heads=("Candidate", "Cores counted", "Cores", "Tokens/s per core"),
        rows=tuple(
            (
                row.name,
                row.denominator,
                str(row.cores),
                figure(row.tokens_per_second_per_core),
            )
            for row in found.per_core
        ),
    )


def cost_table(analysis: Analysis) -> Table:
    """Return one row per candidate with a cost."""
    costs = () if analysis.money is None else analysis.money.tokens
    return Table(
        caption="US dollars per million output tokens, with whole instances full of one candidate's servers",
        heads=("Candidate", "At the compared point"),
        rows=tuple((one.name, _dollars(one.in_blocks)) for one in costs),
    )


def held_out_table(rows: Sequence[HeldOut]) -> Table:
    """Return every figure of the turns that no model was fitted to, predicted and measured."""
    return Table(
        caption="The plan against turns it was not fitted to, in ms",
        heads=("Candidate", "Requests/s", "Metric", "Percentile", "Predicted", "One such turn", "Measured", "Error"),
        rows=tuple(
            (
                one.candidate.name,
                figure(one.rate_per_second),
                METRIC_WORDS[one.metric],
                f"p{one.percent:g}",
                figure(one.predicted_ms),
                bounds(one.one_turn),
                figure(one.measured_ms),
                f"{100 * one.error:+.1f} %",
            )
            for one in rows
        ),
    )


def _dollars(estimate: Estimate | None) -> str:
    if estimate is None:
        return MISSING
    return f"{usd(estimate.value)} ({usd(estimate.interval.low)} to {usd(estimate.interval.high)})"


def start_up_table(steps: tuple[Step, ...]) -> Table:
    """Return one row per step that stood before the load."""
    return Table(
        caption="Start-up: steps before the load, their time, and the cost of the cores they held",
        heads=("Candidate", "Step", "Waited for a node", "Ran", "Dollars", "End"),
        rows=tuple(
            (
                "all" if step.candidate is None else step.candidate.name,
                f"start {step.number + 1}" if step.what == "start" else step.what,
                duration(step.node_seconds),
                duration(step.seconds),
                usd(step.usd),
                step.gate or ("again" if step.removed else "done"),
            )
            for step in steps
        ),
    )


def receipt_table(receipt: Receipt | None) -> Table:
    """Return one row per node that was there."""
    return Table(
        caption="Neuron nodes, as Karpenter reported them",
        heads=("Node", "Type", "Capacity type", "Launched", "Gone", "Seconds"),
        rows=tuple(
            (
                node.name,
                node.instance_type,
                node.capacity_type or "unknown",
                node.launched,
                f"still there at {node.seen}" if node.gone is None else node.gone,
                f"{node.seconds:,.0f}",
            )
            for node in (() if receipt is None else receipt.nodes)
        ),
    )
