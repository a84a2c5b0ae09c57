"""List stored runs, the newest first: date, model, outcome and winner.

Exit status: 0 listed, 2 there is no such folder.
Example: optimal-tp runs --json
"""

import argparse
import collections.abc
import dataclasses
import json
import pathlib
import sys
import typing

import rich.console
import rich.table
import rich.text

from optimal_tp.cli.terminal import output
from optimal_tp.errors import Problem, SettingsError


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredRun:
    """One line of the list."""

    folder: str
    started: str | None
    """Start of the run in its record, ISO 8601."""
    place: str | None
    model: str | None
    outcome: str
    """``settled``, ``inconclusive`` or ``void``; ``unjudged`` if there is no verdict beside the record."""
    winner: str | None
    """TP2, for example; None without a choice."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=pathlib.Path("out"), metavar="FOLDER",
                        help="folder that holds the runs (default %(default)s)")  # fmt: skip


def main(options: argparse.Namespace) -> int:
    """Print the list. Raises SettingsError if there is no such folder."""
    if not options.folder.is_dir():
        rule = "must be a folder that holds runs"
        raise SettingsError([Problem(path="FOLDER", value=str(options.folder), rule=rule)])
    found = stored(options.folder)
    if output.is_json(options):
        sys.stdout.write(json.dumps([dataclasses.asdict(each) for each in found], indent=1) + "\n")
        return 0
    console = rich.console.Console(highlight=False)
    if not found:
        console.print(f"{options.folder} holds no run yet; optimal-tp local makes one", soft_wrap=True)
        return 0
    table = rich.table.Table(box=None, pad_edge=False)
    # Whole, however narrow the terminal is, so that it can be copied.
    table.add_column("Folder", no_wrap=True, min_width=max(len(each.folder) for each in found))
    for head in ("Started", "Model", "Outcome", "Winner"):
        table.add_column(head, overflow="fold")
    for each in found:
        cells = (each.folder, (each.started or "")[:16].replace("T", " "), each.model, each.outcome, each.winner)
        table.add_row(*(rich.text.Text(cell or "-") for cell in cells))
    console.print(table)
    return 0


def stored(folder: pathlib.Path) -> list[StoredRun]:
    """Return the runs in ``folder`` and in the sweeps below it, the newest first; links are left out."""
    records = [path for pattern in ("*/run.json", "*/*/run.json") for path in folder.glob(pattern)]
    own = [path for path in records if not any(part.is_symlink() for part in path.parents if part != folder)]
    found = [each for path in own if not path.parent.name.startswith("pod-") and (each := _read(path)) is not None]
    return sorted(found, key=lambda each: each.started or "", reverse=True)


def _read(path: pathlib.Path) -> StoredRun | None:
    record = _object(path)
    if record is None:
        return None
    judged = _object(path.parent / "verdict.json") or {}
    verdict = judged.get("verdict")
    verdict = verdict if isinstance(verdict, dict) else {}
    settings = record.get("settings")
    model = settings.get("model") if isinstance(settings, dict) else None
    chosen = verdict.get("chosen")
    return StoredRun(
        folder=str(path.parent),
        started=_text(record.get("started")),
        place=_text(record.get("place")),
        model=_text(model.get("name")) if isinstance(model, dict) else None,
        outcome=_text(verdict.get("outcome")) or "unjudged",
        winner=None if chosen is None else f"TP{chosen}" if isinstance(chosen, int) else str(chosen).upper(),
    )


def _object(path: pathlib.Path) -> collections.abc.Mapping[str, typing.Any] | None:
    """Return the JSON object in ``path``; None if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
