"""Show the verdict of a stored run or sweep and write its report.

Exit status: 0 settled, 2 there is no run to read, 3 inconclusive, 4 void; of a sweep the gravest of its runs', and 5
where a model was not measured.
Example: optimal-tp report out/last
"""

import argparse
import pathlib

from optimal_tp.cli.sources import folder_of, stored_run, stored_sweep
from optimal_tp.fleet.agreement import predicted
from optimal_tp.report.conclusion import conclude
from optimal_tp.report.sweep import conclude_sweep


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("source", metavar="SOURCE", help="the folder of a run or sweep, or s3://bucket/prefix")
    parser.add_argument("--output", type=pathlib.Path, help="folder of the report; by default the source's own")


def main(options: argparse.Namespace) -> int:
    """Write and show the report. Raises SettingsError where there is no run to read."""
    sweep = stored_sweep(options.source)
    if sweep is not None:
        return conclude_sweep(sweep, options.output or folder_of(options.source, sweep.sweep.sweep), predicted)
    source = stored_run(options.source)
    return conclude(source, options.output or folder_of(options.source, source.record.run), predicted)
