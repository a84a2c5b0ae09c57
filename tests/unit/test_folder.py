"""Folders that are there whole or not at all."""

import os
import pathlib

import pytest

from optimal_tp.pods import folders


@pytest.fixture
def whole(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a published folder with two files."""
    folder = tmp_path / "compiled" / "tp1"
    draft = folders.open_draft(folder, owner="pod-1", stale_after_seconds=60)
    (draft / "model.pt").write_bytes(b"graph")
    (draft / "weights").mkdir()
    (draft / "weights" / "tp0").write_bytes(b"numbers")
    folders.publish(draft, folder, {"command": ["vllm"]})
    return folder


def test_a_published_folder_is_complete(whole: pathlib.Path) -> None:
    """All files are there, and no draft is left."""
    assert folders.is_complete(whole)
    assert [path.name for path in whole.parent.iterdir()] == ["tp1"]


def test_a_draft_is_not_complete(tmp_path: pathlib.Path) -> None:
    """A Job that was killed in the middle leaves nothing that looks finished."""
    folder = tmp_path / "tp1"
    draft = folders.open_draft(folder, owner="pod-1", stale_after_seconds=60)
    (draft / "model.pt").write_bytes(b"graph")

    assert not folders.is_complete(folder)
    assert not folders.is_complete(draft)


@pytest.mark.parametrize("damage", ["truncated", "missing", "marker cut"])
def test_a_damaged_folder_is_not_complete(whole: pathlib.Path, damage: str) -> None:
    """A file that is shorter or gone, or half a marker, is seen."""
    if damage == "truncated":
        (whole / "model.pt").write_bytes(b"gra")
    elif damage == "missing":
        (whole / "weights" / "tp0").unlink()
    else:
        (whole / folders.MARKER).write_text('{"files": {')

    assert not folders.is_complete(whole)


def test_publishing_replaces_a_damaged_folder(whole: pathlib.Path) -> None:
    """What is incomplete never stays in the way."""
    (whole / "model.pt").unlink()
    draft = folders.open_draft(whole, owner="pod-2", stale_after_seconds=60)
    (draft / "model.pt").write_bytes(b"new")
    folders.publish(draft, whole, {})

    assert folders.is_complete(whole)
    assert (whole / "model.pt").read_bytes() == b"new"


def test_publishing_leaves_a_complete_folder_alone(whole: pathlib.Path) -> None:
    """Servers may already read what another pod made first."""
    draft = folders.open_draft(whole, owner="pod-2", stale_after_seconds=60)
    (draft / "model.pt").write_bytes(b"second")
    folders.publish(draft, whole, {})

    assert (whole / "model.pt").read_bytes() == b"graph"
    assert not draft.exists()


def test_only_stale_drafts_of_others_are_removed(tmp_path: pathlib.Path) -> None:
    """A draft that another pod still works on stays; one from a dead pod goes, and one's own starts empty."""
    folder = tmp_path / "tp1"
    alive = folders.open_draft(folder, owner="alive", stale_after_seconds=60)
    dead = folders.open_draft(folder, owner="dead", stale_after_seconds=60)
    mine = folders.open_draft(folder, owner="mine", stale_after_seconds=60)
    (mine / "half").write_bytes(b"half")
    os.utime(dead, (0, 0))
    again = folders.open_draft(folder, owner="mine", stale_after_seconds=60)

    assert alive.exists()
    assert not dead.exists()
    assert list(again.iterdir()) == []
