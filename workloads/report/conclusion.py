"""A stored run's end: judged, its report written, its verdict shown last."""

import pathlib

import rich.console

from workloads.report.analysis import analyse
from workloads.report.findings import EXIT_STATUS
from workloads.report.rendering import write
from workloads.report.retrial import retry
from workloads.report.source import Source
from workloads.report.terminal import show


def conclude(source: Source, folder: pathlib.Path) -> int:
    """Judge ``source``, write its report into ``folder``, show the verdict, and return the exit status.

    Raises SettingsError if the run's settings break a rule, StorageFailed where the report cannot be written.
    """
    again = retry(source)
    analysis = analyse(again.record, again.samples, again.verdict)
    files = write(folder, analysis)
    console = rich.console.Console(highlight=False)
    show(console, analysis, files)
    if again.difference is not None:
        console.print(again.difference, soft_wrap=True)
    return EXIT_STATUS[again.verdict.outcome]
