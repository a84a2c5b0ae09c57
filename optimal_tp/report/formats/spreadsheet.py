"""``candidates.csv``: one line per candidate, for a spreadsheet."""

import csv
import io

from optimal_tp.measurement.estimate import Estimate
from optimal_tp.report.headline import cost_of
from optimal_tp.verdict.analysis import Analysis

NAME = "candidates.csv"
_HEADS = (
    "candidate",
    "degree",
    "max_num_seqs",
    "word",
    "goodput_requests_per_second_per_core",
    "tokens_per_second_per_core",
    "tokens_low",
    "tokens_high",
    "median_latency_ms",
    "median_low_ms",
    "median_high_ms",
    "share_within",
    "usd_per_million_tokens",
    "usd_low",
    "usd_high",
    "requests",
    "failures",
    "given_up",
)


def candidates_csv(analysis: Analysis) -> str:
    """Return the candidates at the compared point; what is not known is empty."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(_HEADS)
    for degree in analysis.verdict.degrees:
        writer.writerow(
            (
                degree.name,
                degree.degree,
                degree.max_num_seqs,
                degree.word,
                degree.goodput_per_second_per_core,
                *_parts(degree.tokens_per_second_per_core),
                *_parts(degree.median_latency_ms),
                degree.share_within,
                *_parts(cost_of(analysis, degree)),
                degree.requests,
                degree.failures,
                degree.given_up,
            )
        )
    return target.getvalue()


def _parts(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    if estimate is None:
        return None, None, None
    return estimate.value, estimate.interval.low, estimate.interval.high
