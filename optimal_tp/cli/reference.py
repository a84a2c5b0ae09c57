"""Print what the documents are made of: docs/reference/metrics.md, verdict.schema.json."""

import argparse
import sys

from optimal_tp.measurement.metrics import DERIVED, METRICS, NAMESPACE, Metric
from optimal_tp.report.document import schema

_HEAD = f"""# Metrics

Made from `optimal_tp/measurement/metrics.py` by `optimal-tp reference metrics`; a test keeps it fresh.

Every figure is derived from samples, one record per request (`optimal_tp/measurement/samples.py`), and turns, one
record per stretch of load on one candidate (`optimal_tp/measurement/turns.py`):
[how they are made](../concepts/measurement.md).
Times are seconds on one monotonic clock. Latency counts from the moment the plan wanted the request sent, so that a
late client or a stalled server shows in it.
Tokens are counted by the server. A failed request has no latency, takes its time from the throughput and misses every
limit. Where there is no data there is no value: never 0.

CloudWatch namespace: `{NAMESPACE}`. The dimension `Model` is `TP1`, `TP2`, `TP4` and so on, `TP1-B4` where a
degree has several batches; `Status` is `Success` or `Error`.

| Metric | Unit | Dimensions | Statistics | Better | One value per |
| --- | --- | --- | --- | --- | --- |
"""


_DERIVED_HEAD = """
# Figures beside the metrics

In the report and `verdict.json` only: [how far from the limit](how-far-from-the-limit.md).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("page", choices=("metrics", "schema"), help="which one")


def main(options: argparse.Namespace) -> int:
    """Print the page."""
    sys.stdout.write(metrics_page() if options.page == "metrics" else schema())
    return 0


def metrics_page() -> str:
    """Return the page as Markdown."""
    rows = "".join(_row(metric) for metric in METRICS)
    formulas = "".join(f"\n## {metric.title} (`{metric.name}`)\n\n`{metric.formula}`\n" for metric in METRICS)
    derived = "".join(f"\n## {one.title} (`{one.name}`)\n\n`{one.formula}`\n" for one in DERIVED)
    return _HEAD + rows + formulas + _DERIVED_HEAD + derived


def _row(metric: Metric) -> str:
    cells = (
        f"`{metric.name}`",
        metric.unit,
        ", ".join(metric.dimensions),
        ", ".join(metric.statistics),
        metric.direction,
        metric.per,
    )
    return f"| {' | '.join(cells)} |\n"
