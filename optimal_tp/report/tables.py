"""The report's tables as rows of text, the same for Markdown, HTML and the terminal."""

import dataclasses

from optimal_tp.measurement.estimate import METRIC_WORDS, MISSING, Estimate, figure, percent, ranged, usd
from optimal_tp.measurement.receipt import Receipt
from optimal_tp.report.document import Document
from optimal_tp.verdict.analysis import Analysis


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
        core_table(found),
        cost_table(analysis),
        receipt_table(analysis.record.receipt),
    )
    return tuple(table.without_blanks() for table in every if table.rows)


def degree_table(analysis: Analysis) -> Table:
    """Return one row per degree: its word and the number that decided it."""
    return Table(
        caption="Each degree, its word and the number that decided it",
        heads=("Degree", "Word", "Decided by", "Tokens/s per core", "Goodput", "Requests", "Failed"),
        rows=tuple(
            (
                f"TP{degree.degree}",
                degree.word,
                degree.ground.sentence,
                ranged(degree.tokens_per_second_per_core),
                percent(degree.goodput),
                f"{degree.requests:,}",
                f"{degree.failures:,}",
            )
            for degree in analysis.verdict.degrees
        ),
    )


def limit_table(analysis: Analysis) -> Table:
    """Return one row per degree and limit."""
    return Table(
        caption="Latency limits: confidence sequence of the share within, order-statistic bounds of the percentile",
        heads=("Degree", "Limit", "Word", "Within", "Range", "Percentile in ms", "Design effect"),
        rows=tuple(
            (
                f"TP{degree.degree}",
                f"p{one.percent:g} of {METRIC_WORDS[one.metric]} at most {figure(one.at_most_ms)} ms",
                one.word,
                percent(one.hits / one.requests if one.requests else None),
                f"{percent(one.share.low)} to {percent(one.share.high)}",
                ranged(one.latency_ms),
                figure(one.design_effect),
            )
            for degree in analysis.verdict.degrees
            for one in degree.limits
        ),
    )


def latency_table(analysis: Analysis) -> Table:
    """Return one row per degree, stage and metric."""
    return Table(
        caption="Latency in ms from the intended send; bounds each at the run's confidence",
        heads=("Degree", "Load", "Metric", "p50", "p90", "p99", "Requests"),
        rows=tuple(
            (
                f"TP{row.degree}",
                "one at a time" if row.stage == "idle" else "blocks",
                METRIC_WORDS[row.metric],
                ranged(row.p50_ms),
                ranged(row.p90_ms),
                ranged(row.p99_ms),
                f"{row.requests:,}",
            )
            for row in analysis.latencies
        ),
    )


def comparison_table(analysis: Analysis) -> Table:
    """Return one row per pair of degrees."""
    return Table(
        caption="Tokens/s per core, paired block by block; confidence sequences that hold together",
        heads=("Pair", "Ratio", "Blocks", "Noise of the log ratio", "Autocorrelation", "Batch"),
        rows=tuple(
            (
                f"TP{one.first} / TP{one.second}",
                ranged(one.ratio) if one.why_no_ratio is None else one.why_no_ratio,
                str(one.blocks),
                percent(one.log_deviation),
                ranged(one.autocorrelation),
                str(one.batch),
            )
            for one in analysis.verdict.comparisons
        ),
    )


def load_table(analysis: Analysis) -> Table:
    """Return one row per degree and step of the rising load."""
    rows = []
    for curve in analysis.curves:
        for step in curve.steps:
            marks = [
                mark
                for mark, where in (
                    ("saturation", curve.saturation),
                    ("knee", curve.knee),
                    ("capacity at the limit", curve.at_limit),
                )
                if where == step
            ]
            marks += ["Pareto"] if step.pareto else []
            rows.append(
                (
                    f"TP{step.degree}",
                    str(step.concurrency),
                    figure(step.tokens_per_second),
                    figure(step.tokens_per_second_per_core),
                    ranged(step.latency_p50_ms),
                    percent(step.goodput),
                    ", ".join(marks) or MISSING,
                )
            )
    return Table(
        caption="Rising load",
        heads=("Degree", "In flight", "Tokens/s", "Per core", "Median latency in ms", "Goodput", "Mark"),
        rows=tuple(rows),
    )


def core_table(found: Document) -> Table:
    """Return one row per degree and way of counting cores."""
    return Table(
        caption="Output tokens/s per core, by what counts as a core",
        heads=("Degree", "Cores counted", "Cores", "Tokens/s per core"),
        rows=tuple(
            (f"TP{row.degree}", row.denominator, str(row.cores), figure(row.tokens_per_second_per_core))
            for row in found.per_core
        ),
    )


def cost_table(analysis: Analysis) -> Table:
    """Return one row per degree with a cost."""
    costs = () if analysis.money is None else analysis.money.tokens
    return Table(
        caption="US dollars per million output tokens, billed units filled with servers of one degree",
        heads=("Degree", "In the blocks", "At saturation", "At the limit"),
        rows=tuple(
            (f"TP{one.degree}", _dollars(one.in_blocks), usd(one.at_saturation), usd(one.at_limit)) for one in costs
        ),
    )


def _dollars(estimate: Estimate | None) -> str:
    if estimate is None:
        return MISSING
    return f"{usd(estimate.value)} ({usd(estimate.interval.low)} to {usd(estimate.interval.high)})"


def receipt_table(receipt: Receipt | None) -> Table:
    """Return one row per node that was there."""
    return Table(
        caption="Neuron nodes that were there, as Karpenter told of them",
        heads=("Node", "Type", "Capacity", "Launched", "Gone", "Seconds"),
        rows=tuple(
            (
                node.name,
                node.instance_type,
                node.capacity_type or "not said",
                node.launched,
                f"still there at {node.seen}" if node.gone is None else node.gone,
                f"{node.seconds:,.0f}",
            )
            for node in (() if receipt is None else receipt.nodes)
        ),
    )
