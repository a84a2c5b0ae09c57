"""The samples of a run as one CSV: a request a line, units in the columns' names, blank where nothing is known."""

import collections.abc
import csv
import io
import typing

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import of

FILE = "samples.csv"

_Cell = str | int | float | None
COLUMNS: dict[str, collections.abc.Callable[[Sample], _Cell]] = {
    "candidate": lambda one: of(one).name,
    "degree": lambda one: one.degree,
    "max_num_seqs": lambda one: one.max_num_seqs,
    "stage": lambda one: one.stage,
    "block": lambda one: one.block,
    "concurrency": lambda one: one.concurrency,
    "rate_per_second": lambda one: one.rate_per_second,
    "request": lambda one: one.request,
    "replica": lambda one: one.replica,
    "intended_seconds": lambda one: _micro(one.intended_seconds),
    "sent_seconds": lambda one: _micro(one.sent_seconds),
    "first_token_seconds": lambda one: _micro(one.token_seconds[0] if one.token_seconds else None),
    "last_token_seconds": lambda one: _micro(one.token_seconds[-1] if one.token_seconds else None),
    "end_seconds": lambda one: _micro(one.end_seconds),
    "total_latency_ms": lambda one: _micro(one.total_latency_ms),
    "ttft_ms": lambda one: _micro(one.ttft_ms),
    "tpot_ms": lambda one: _micro(one.tpot_ms),
    "prompt_tokens": lambda one: one.prompt_tokens,
    "output_tokens": lambda one: one.output_tokens,
    "status": lambda one: one.status,
    "http_status": lambda one: one.http_status,
    "detail": lambda one: one.detail,
}
"""By name: what stands in it. Times are seconds from the run's origin; latencies count from the intended send."""


def sample_table(samples: typing.Iterable[Sample]) -> str:
    """Return the table, its lines in the order of ``samples``."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows([cell(sample) for cell in COLUMNS.values()] for sample in samples)
    return text.getvalue()


def _micro(value: float | None) -> float | None:
    """Return a time as samples are kept: six decimals."""
    return None if value is None else round(value, 6)
