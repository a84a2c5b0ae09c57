"""A stored run's end: judged, its report written, its verdict shown last."""

import pathlib

import rich.console

from optimal_tp.report.files import write
from optimal_tp.report.terminal import show
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import Source
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.findings import EXIT_STATUS


def conclude(source: Source, folder: pathlib.Path) -> int:
    """Judge ``source``, write its report into ``folder``, show the verdict, and return the exit status.

    Raises StorageFailed where the report cannot be written.
    """
    again = retry(source)
    analysis = analyse(again.record, again.samples, again.verdict)
    files = write(folder, analysis)
    console = rich.console.Console(highlight=False)
    show(console, analysis, files)
    if again.difference is not None:
        console.print(again.difference, soft_wrap=True)
    return EXIT_STATUS[again.verdict.outcome]
