"""Print generated documents: docs/reference/metrics.md, docs/reference/cli.md, verdict.schema.json.

Example: optimal-tp reference cli > docs/reference/cli.md
"""

import argparse
import collections.abc
import os
import sys
import typing

from optimal_tp.cli import COMMANDS
from optimal_tp.cli.setup.settings import profile_schema
from optimal_tp.cli.terminal.argument_parser import parser_of, subparsers_of
from optimal_tp.measurement.metrics import DERIVED, METRICS, NAMESPACE, Metric
from optimal_tp.report.document import schema
from optimal_tp.settings.described.schema import as_text, stack_schema

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

In the report and `verdict.json` only: [how far from the limit](../concepts/how-far-from-the-limit.md).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("page", choices=tuple(_PAGES), help="the page to print")


def main(options: argparse.Namespace) -> int:
    """Print the page."""
    sys.stdout.write(_PAGES[options.page]())
    return 0


def cli_page() -> str:
    """Return the page on the command line as Markdown: every public command's help."""
    os.environ["COLUMNS"] = "100"  # help follows the terminal's width, but a page has a fixed one
    parts = [_CLI_HEAD]
    for name, command in COMMANDS.items():
        if command.is_internal:
            continue
        parser = parser_of(name)
        helps = [parser.format_help(), *(each.format_help() for each in subparsers_of(parser).values())]
        shown = "\n\n".join(each.rstrip() for each in helps)
        said = f"{command.line[:1].upper()}{command.line[1:]}."
        parts.append(f"## `optimal-tp {name}`\n\n{said}\n\n```text\n{shown}\n```\n")
    return "\n".join(parts)


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


_CLI_HEAD = """# The command line

Made from the parsers by `optimal-tp reference cli`; a test keeps it fresh.

Every command takes `--json`, `--quiet` and `--no-color`, before or after its name. A misspelt command, option or key
gets the likely one. Without `--stack` a command takes the stack of `OPTIMAL_TP_STACK`, then the one that Pulumi has
selected.

Each command lists the exit statuses that it has; [exit codes](exit-codes.md) says what each means for all of them.
"""
_PAGES: typing.Final[dict[str, collections.abc.Callable[[], str]]] = {
    "metrics": metrics_page,
    "cli": cli_page,
    "schema": schema,
    "stack-schema": lambda: as_text(stack_schema()),
    "profile-schema": lambda: as_text(profile_schema()),
}
"""The pages, by name."""
