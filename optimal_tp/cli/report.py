"""Show the verdict of a stored run or sweep and write its report.

Exit status: 0 settled, 2 there is no run to read, 3 inconclusive, 4 void; of a sweep the gravest of its runs', and 5
where a model was not measured.
Example: optimal-tp report --open
"""

import argparse
import pathlib
import webbrowser

from optimal_tp.cli.sources import NEWEST, folder_of, stored_run, stored_sweep
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.verdicts import print_verdict
from optimal_tp.fleet.agreement import predicted
from optimal_tp.report.conclusion import conclude
from optimal_tp.report.sweep import conclude_sweep


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add(
        "source",
        nargs="?",
        default=NEWEST,
        metavar="RUN",
        help="folder of a run or sweep, or s3://bucket/prefix (%(default)s)",
    )
    add("--open", action="store_true", help="open the report in the browser")
    add("--output", type=pathlib.Path, help="folder of the report; by default the source's own")


def main(options: argparse.Namespace) -> int:
    """Write and show the report. Raises SettingsError where there is no run to read."""
    sweep = stored_sweep(options.source)
    with output.beside_json(options):
        if sweep is not None:
            folder = options.output or folder_of(options.source, sweep.sweep.sweep)
            status = conclude_sweep(sweep, folder, predicted)
        else:
            source = stored_run(options.source)
            folder = options.output or folder_of(options.source, source.record.run)
            status = conclude(source, folder, predicted)
    if output.is_json(options):
        print_verdict(folder)
    if options.open:
        webbrowser.open((folder / "report.html").resolve().as_uri())
    return status
