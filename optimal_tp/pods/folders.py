"""Folders on the shared volume that are there whole or not at all. Runs in any pod: standard library only."""

import json
import os
import pathlib
import shutil
import time
import typing

MARKER = "complete.json"
"""Written last; lists every file with its size in bytes."""


def is_complete(folder: pathlib.Path) -> bool:
    """Return whether ``folder`` has a marker and every file that the marker lists, in the size listed there."""
    try:
        listed = json.loads((folder / MARKER).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == size for name, size in listed.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def open_draft(folder: pathlib.Path, *, owner: str, stale_after_seconds: float) -> pathlib.Path:
    """Return an empty draft of ``folder`` that belongs to ``owner`` (a pod's name) alone.

    Drafts that others left behind and nobody has touched for ``stale_after_seconds`` are removed.
    """
    draft = folder.with_name(f"{folder.name}.draft-{owner}")
    shutil.rmtree(draft, ignore_errors=True)
    for other in folder.parent.glob(f"{folder.name}.draft-*"):
        if time.time() - other.stat().st_mtime > stale_after_seconds:
            shutil.rmtree(other, ignore_errors=True)
    draft.mkdir(parents=True)
    return draft


def reopen_draft(folder: pathlib.Path, *, owner: str) -> pathlib.Path:
    """Return the draft of ``folder`` that belongs to ``owner``, with what an earlier try has left in it."""
    draft = folder.with_name(f"{folder.name}.draft-{owner}")
    draft.mkdir(parents=True, exist_ok=True)
    return draft


def publish(draft: pathlib.Path, folder: pathlib.Path, about: typing.Mapping[str, object]) -> None:
    """Turn ``draft`` into ``folder`` in one step, with ``about`` and the list of files in its marker.

    An incomplete ``folder`` in the way is removed; a complete one, made by another pod meanwhile, stays.
    """
    files = {str(path.relative_to(draft)): path.stat().st_size for path in sorted(draft.rglob("*")) if path.is_file()}
    marker = draft / MARKER
    with marker.open("w", encoding="utf-8") as file:
        json.dump({**about, "files": files}, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    if is_complete(folder):
        shutil.rmtree(draft)
        return
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
