"""Show the verdict of a stored run or sweep and write its report.

Exit status: 0 settled, 2 there is no run to read, 3 inconclusive, 4 void, 5 the report cannot be written. Of a sweep
the gravest of its runs', and 5 where a model was not measured.
Example: optimal-tp report --open
"""

import argparse
import collections.abc
import functools
import json
import pathlib
import sys
import typing

from optimal_tp.cli.sources import NEWEST, folder_of, stored_run, stored_sweep
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.verdicts import open_report, print_verdict
from optimal_tp.errors import Problem, SettingsError
from optimal_tp.fleet.agreement import predicted
from optimal_tp.report.conclusion import conclude
from optimal_tp.report.files import write_files
from optimal_tp.report.formats.llmd import llmd_files
from optimal_tp.report.formats.sample_table import FILE, sample_table
from optimal_tp.report.sweep import conclude_sweep
from optimal_tp.results.predictors.prediction_files import read_stated
from optimal_tp.results.retrial import retry
from optimal_tp.verdict.findings import EXIT_STATUS

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


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
    add("--verbose", "-v", action="store_true", help="print every table of the report too")
    add("--output", type=pathlib.Path, metavar="FOLDER", help="folder for the report (default: the run's)")
    add(
        "--predicted",
        action="append",
        default=[],
        metavar="[tpN=]FILE",
        help="predictions of a planner or simulator to compare with the run; may be repeated",
    )
    add(
        "--format",
        choices=("llmd", "csv"),
        help="write this instead of the report: llm-d benchmark reports, or a table of samples",
    )


def main(options: argparse.Namespace) -> int:
    """Write and show the report. Raises SettingsError if there is no run to read, or predictions are bad."""
    if (options.predicted or options.format) and stored_sweep(options.source) is not None:
        _refuse_for_sweeps(options)
    if options.format:
        return _export(options)
    with output.beside_json(options):
        status, folder = concluded(
            options.source, output=options.output, predictions=options.predicted, is_whole=options.verbose
        )
    if output.is_json(options):
        print_verdict(folder)
    if options.open:
        open_report(folder)
    return status


def concluded(
    source: str,
    s3: "S3Client | None" = None,
    *,
    output: pathlib.Path | None = None,
    predictions: collections.abc.Sequence[str] = (),
    is_whole: bool = False,
) -> tuple[int, pathlib.Path]:
    """Judge the run or sweep at ``source``, write its report and show it; return the exit status and the folder.

    ``s3`` reads a bucket; None: with the shell's credentials. ``predictions`` is ``--predicted``, ``is_whole`` is
    ``--verbose``. Raises SettingsError if there is no run to read, or predictions are bad, and StorageFailed if the
    report cannot be written.
    """
    sweep = stored_sweep(source, s3)
    if sweep is not None:
        folder = output or folder_of(source, sweep.sweep.sweep)
        return conclude_sweep(sweep, folder, predicted, is_whole=is_whole), folder
    found = stored_run(source, s3)
    folder = output or folder_of(source, found.record.run)
    stated = read_stated(predictions, found.record.settings.load) if predictions else None
    return conclude(found, folder, predicted, stated, is_whole=is_whole), folder


def _refuse_for_sweeps(options: argparse.Namespace) -> None:
    for name in ("predicted", "format"):
        if getattr(options, name):
            rule = f"must be a run, not a sweep, with --{name}"
            problem = Problem(path="RUN", value=options.source, rule=rule, remedy="name the folder of one model")
            raise SettingsError([problem])


def _export(options: argparse.Namespace) -> int:
    """Write the run in another program's format, and return the verdict's exit status."""
    source = stored_run(options.source)
    folder = options.output or folder_of(options.source, source.record.run)
    again = retry(source, functools.partial(predicted, extrapolates=False))
    files = llmd_files(again) if options.format == "llmd" else {FILE: sample_table(source.samples).encode()}
    paths = [str(path) for path in write_files(folder, files, what=options.format)]
    said = json.dumps({"format": options.format, "files": paths}) if output.is_json(options) else "\n".join(paths)
    sys.stdout.write(f"{said}\n")
    return EXIT_STATUS[again.verdict.outcome]
