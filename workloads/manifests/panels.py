"""The dashboard's body for CloudWatch, built from the metric table widget by widget."""

import collections.abc
import dataclasses
import math
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.metrics import BY_NAME, METRICS, NAMESPACE, Metric, model_dimension
from optimal_tp.settings.workload import Limits

Body = dict[str, typing.Any]
Widget = dict[str, typing.Any]
GRID_COLUMNS = 24
_WIDTH, _HEIGHT, _HEADING_HEIGHT = 12, 6, 3
_PERIOD_SECONDS = 60

_OFFERED = "OfferedRPS"
"""Metrics that are drawn together with the achieved ones, not alone."""
_ACHIEVED = "RPS"
_BETTER = {"lower": "lower is better", "higher": "higher is better", "neither": ""}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """One model's section of the dashboard."""

    title: str
    """The model's title, put before the candidate in its metrics; empty for one model alone."""
    slug: str
    """The model's slug in the names of its alarms; empty for one model alone."""
    candidates: tuple[Candidate, ...]
    limits: Limits

    def dimension(self, candidate: Candidate) -> str:
        """Return the value of the dimension ``Model``."""
        return model_dimension(candidate, self.title)


def dashboard_body(boards: collections.abc.Sequence[Board], *, region: str, usd_per_hour: float | None) -> Body:
    """Return the body: for each model a heading and one widget per metric of the table, then the cost.

    ``usd_per_hour``: cost of all Neuron nodes together; None: no cost is drawn.
    """
    drawn = [metric for metric in METRICS if metric.name != _OFFERED]
    placed: list[Widget] = []
    top = 0
    for board in boards:
        widgets = [_metric_widget(metric, board, region) for metric in drawn]
        if usd_per_hour is not None and board is boards[-1]:
            widgets.append(_cost_widget(boards, usd_per_hour, region))
        placed += [_heading(board, top), *_placed(widgets, top + _HEADING_HEIGHT)]
        top += _HEADING_HEIGHT + math.ceil(len(widgets) / 2) * _HEIGHT
    return {"periodOverride": "inherit", "widgets": placed}


def _placed(widgets: collections.abc.Sequence[Widget], top: int) -> list[Widget]:
    """Return ``widgets`` in two columns from row ``top`` on."""
    return [
        {
            **widget,
            "x": number % 2 * _WIDTH,
            "y": top + number // 2 * _HEIGHT,
            "width": _WIDTH,
            "height": _HEIGHT,
        }
        for number, widget in enumerate(widgets)
    ]


def _heading(board: Board, top: int) -> Widget:
    names = ", ".join(each.name for each in board.candidates)
    head = f"# {board.title}: tensor-parallel degrees {names}" if board.title else f"# Tensor-parallel degrees {names}"
    markdown = (
        f"{head}\n"
        "Latency counts from the moment a request was meant to be sent. Percentiles are over the requests of each "
        "minute. The verdict is not on this page: it is in the results bucket, with its confidence."
    )
    return {
        "type": "text",
        "x": 0,
        "y": top,
        "width": GRID_COLUMNS,
        "height": _HEADING_HEIGHT,
        "properties": {"markdown": markdown},
    }


def _row(metric: Metric, value: str, options: typing.Mapping[str, object], status: str = "Success") -> list[object]:
    """Return the row of ``metric`` for the value ``value`` of the dimension ``Model``."""
    row: list[object] = [NAMESPACE, metric.name]
    for dimension in metric.dimensions:
        row += [dimension, value if dimension == "Model" else status]
    return [*row, dict(options)]


def _rows(metric: Metric, board: Board) -> list[list[object]]:
    if metric.name == _ACHIEVED:
        offered, together = BY_NAME[_OFFERED], metric.statistics[0]
        return [
            row
            for candidate in board.candidates
            for value, name in ((board.dimension(candidate), candidate.name),)
            for row in (
                _row(metric, value, {"stat": together, "label": f"{name} achieved"}),
                _row(offered, value, {"stat": together, "label": f"{name} offered"}),
                _row(metric, value, {"stat": together, "label": f"{name} failed"}, "Error"),
            )
        ]
    return [
        _row(metric, board.dimension(candidate), {"stat": statistic, "label": f"{candidate.name} {statistic}"})
        for statistic in metric.statistics
        for candidate in board.candidates
    ]


def _metric_widget(metric: Metric, board: Board, region: str) -> Widget:
    title = "Requests per second, offered against achieved" if metric.name == _ACHIEVED else metric.title
    better = _BETTER[metric.direction]
    properties: dict[str, object] = {
        "title": f"{title} ({better})" if better else title,
        "region": region,
        "view": "timeSeries",
        "stacked": False,
        "period": _PERIOD_SECONDS,
        "metrics": _rows(metric, board),
        "yAxis": {"left": {"min": 0, "label": metric.unit, "showUnits": False}},
    }
    key = metric.limited_by
    limit = None if key is None else board.limits.asked().get(key)
    if limit is not None:
        line = {"label": f"limit: {limit.percentile:g} % of requests", "value": limit.at_most_ms}
        properties["annotations"] = {"horizontal": [line]}
    return {"type": "metric", "properties": properties}


def _cost_widget(boards: collections.abc.Sequence[Board], usd_per_hour: float, region: str) -> Widget:
    """Return the chart of the nodes' cost since the left edge, for the time in which the load generator was active."""
    offered = BY_NAME[_OFFERED]
    values = [board.dimension(candidate) for board in boards for candidate in board.candidates]
    hidden = [
        _row(offered, value, {"id": f"m{number}", "visible": False, "stat": "SampleCount"})
        for number, value in enumerate(values)
    ]
    # Any data point marks a period that was paid for; CEIL(x / (x + 1)) is 1 for every count above 0.
    total = f"SUM([{', '.join(f'm{number}' for number in range(len(values)))}])"
    paid = f"CEIL({total} / ({total} + 1)) * PERIOD(m0) / 3600 * {usd_per_hour:g}"
    label = f"USD at {usd_per_hour:g} an hour"
    return {
        "type": "metric",
        "properties": {
            "title": "Neuron nodes' cost in the time shown",
            "region": region,
            "view": "timeSeries",
            "stacked": False,
            "period": _PERIOD_SECONDS,
            "metrics": [*hidden, [{"expression": f"RUNNING_SUM({paid})", "id": "cost", "label": label}]],
            "yAxis": {"left": {"min": 0, "label": "USD", "showUnits": False}},
        },
    }
