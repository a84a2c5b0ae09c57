"""Show the verdict that a command has just written: as JSON on standard output, or its report in the browser."""

import pathlib
import sys
import webbrowser

from optimal_tp.measurement.sweep import VERDICTS


def print_verdict(folder: pathlib.Path) -> None:
    """Print the verdict in ``folder``, for a sweep that of all its models; nothing if there is none."""
    for name in (VERDICTS, "verdict.json"):
        if (folder / name).is_file():
            sys.stdout.write((folder / name).read_text(encoding="utf-8"))
            return


def open_report(folder: pathlib.Path) -> None:
    """Open the report in ``folder`` in the browser."""
    webbrowser.open((folder / "report.html").resolve().as_uri())


def newest(folder: pathlib.Path) -> pathlib.Path:
    """Return the run or sweep that was written last in ``folder``; ``folder`` itself if there is none."""
    found = [path.parent for path in folder.glob("*/verdict*.json") if not path.parent.is_symlink()]
    return max(found, key=lambda each: each.stat().st_mtime, default=folder)
