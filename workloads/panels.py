"""The dashboard's body, made from the metric table: what CloudWatch shows, widget by widget."""

import collections.abc
import typing

from workloads.metrics import BY_NAME, METRICS, NAMESPACE, Metric, model_dimension
from workloads.settings import LimitedMetric, Limits

Body = dict[str, typing.Any]
Widget = dict[str, typing.Any]
GRID_COLUMNS = 24
_WIDTH, _HEIGHT, _HEADING_HEIGHT = 12, 6, 3
_PERIOD_SECONDS = 60

_LIMITED: typing.Final[typing.Mapping[str, LimitedMetric]] = {
    "TotalLatency_ms": "total_latency_ms",
    "TTFT_ms": "ttft_ms",
    "TPOT_ms": "tpot_ms",
}
_OFFERED = "OfferedRPS"
"""Drawn beside what was achieved, not alone."""
_ACHIEVED = "RPS"
_BETTER = {"lower": "lower is better", "higher": "higher is better", "neither": ""}


def dashboard_body(
    degrees: collections.abc.Sequence[int], limits: Limits, *, region: str, usd_per_hour: float | None
) -> Body:
    """Return the body: a heading, one widget per metric of the table, and the cost where a price is known.

    ``usd_per_hour``: of all Neuron nodes together.
    """
    drawn = [metric for metric in METRICS if metric.name != _OFFERED]
    widgets = [_metric_widget(metric, degrees, limits, region) for metric in drawn]
    if usd_per_hour is not None:
        widgets.append(_cost_widget(degrees, usd_per_hour, region))
    placed = [
        {
            **widget,
            "x": number % 2 * _WIDTH,
            "y": _HEADING_HEIGHT + number // 2 * _HEIGHT,
            "width": _WIDTH,
            "height": _HEIGHT,
        }
        for number, widget in enumerate(widgets)
    ]
    heading = {
        "type": "text",
        "x": 0,
        "y": 0,
        "width": GRID_COLUMNS,
        "height": _HEADING_HEIGHT,
        "properties": {"markdown": _heading(degrees)},
    }
    return {"periodOverride": "inherit", "widgets": [heading, *placed]}


def _heading(degrees: collections.abc.Sequence[int]) -> str:
    names = ", ".join(model_dimension(degree) for degree in degrees)
    return (
        f"# Tensor-parallel degrees {names}\n"
        "Latency counts from the moment a request was meant to be sent. Percentiles are over the requests of each "
        "minute. The verdict is not on this page: it is in the results bucket, with its confidence."
    )


def _row(metric: Metric, degree: int, options: typing.Mapping[str, object], status: str = "Success") -> list[object]:
    row: list[object] = [NAMESPACE, metric.name]
    for dimension in metric.dimensions:
        row += [dimension, model_dimension(degree) if dimension == "Model" else status]
    return [*row, dict(options)]


def _rows(metric: Metric, degrees: collections.abc.Sequence[int]) -> list[list[object]]:
    if metric.name == _ACHIEVED:
        offered = BY_NAME[_OFFERED]
        return [
            row
            for degree in degrees
            for row in (
                _row(metric, degree, {"stat": "Average", "label": f"{model_dimension(degree)} achieved"}),
                _row(offered, degree, {"stat": "Average", "label": f"{model_dimension(degree)} offered"}),
                _row(metric, degree, {"stat": "Average", "label": f"{model_dimension(degree)} failed"}, "Error"),
            )
        ]
    return [
        _row(metric, degree, {"stat": statistic, "label": f"{model_dimension(degree)} {statistic}"})
        for statistic in metric.statistics
        for degree in degrees
    ]


def _metric_widget(metric: Metric, degrees: collections.abc.Sequence[int], limits: Limits, region: str) -> Widget:
    title = "Requests per second, offered against achieved" if metric.name == _ACHIEVED else metric.title
    better = _BETTER[metric.direction]
    properties: dict[str, object] = {
        "title": f"{title} ({better})" if better else title,
        "region": region,
        "view": "timeSeries",
        "stacked": False,
        "period": _PERIOD_SECONDS,
        "metrics": _rows(metric, degrees),
        "yAxis": {"left": {"min": 0, "label": metric.unit, "showUnits": False}},
    }
    key = _LIMITED.get(metric.name)
    limit = None if key is None else limits.asked().get(key)
    if limit is not None:
        line = {"label": f"limit: {limit.percentile:g} % of requests", "value": limit.at_most_ms}
        properties["annotations"] = {"horizontal": [line]}
    return {"type": "metric", "properties": properties}


def _cost_widget(degrees: collections.abc.Sequence[int], usd_per_hour: float, region: str) -> Widget:
    """Draw what the nodes have cost since the left edge, while the load generator was at work."""
    offered = BY_NAME[_OFFERED]
    hidden = [
        _row(offered, degree, {"id": f"m{number}", "visible": False, "stat": "SampleCount"})
        for number, degree in enumerate(degrees)
    ]
    # Any data point marks a period that was paid for; CEIL(x / (x + 1)) is 1 for every count above 0.
    total = f"SUM([{', '.join(f'm{number}' for number in range(len(degrees)))}])"
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
