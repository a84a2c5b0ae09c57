"""Writes a report's files: verdict.json, report.md, report.html and the pictures."""

import pathlib

from optimal_tp.errors import StorageFailed
from optimal_tp.measurement.run import VERDICT
from optimal_tp.measurement.whole_file import replace_file
from optimal_tp.report.document import document, encode_document
from optimal_tp.report.html import html
from optimal_tp.report.markdown import markdown
from optimal_tp.report.plots import plots
from optimal_tp.report.tables import tables
from optimal_tp.verdict.analysis import Analysis

_REMEDY = "free space or name another folder, then run optimal-tp report again"


def write(folder: pathlib.Path, analysis: Analysis) -> list[pathlib.Path]:
    """Write the report of ``analysis`` into ``folder`` and return the files' paths, the page first.

    The same input gives the same bytes. Raises StorageFailed where a file cannot be written.
    """
    return write_files(folder, _files(analysis))


def write_files(
    folder: pathlib.Path, files: dict[str, bytes], *, what: str = "report", remedy: str = _REMEDY
) -> list[pathlib.Path]:
    """Write the ``files`` of ``what`` by name into ``folder``, made if it is missing, and return their paths.

    Raises StorageFailed where a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            replace_file(folder / name, content)
    except OSError as error:
        raise StorageFailed(f"the {what} cannot be written to {folder}: {error.strerror}; {remedy}") from error
    return [folder / name for name in files]


def _files(analysis: Analysis) -> dict[str, bytes]:
    found = document(analysis)
    rows = tables(analysis, found)
    pictures = plots(analysis)
    return {
        "report.html": html(analysis, found.claims, rows, pictures).encode(),
        "report.md": markdown(found.claims, rows, pictures).encode(),
        VERDICT: encode_document(found).encode(),
        **{f"{picture.name}.png": picture.png for picture in pictures},
    }
