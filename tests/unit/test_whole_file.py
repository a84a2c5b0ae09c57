"""Files that are there whole or not at all."""

import errno
import pathlib

import pytest

from optimal_tp.measurement.whole_file import replace_file


def test_the_newer_content_takes_the_olders_place(tmp_path: pathlib.Path) -> None:
    """Nothing else is left in the folder."""
    path = tmp_path / "run.json"
    replace_file(path, b"older and longer")
    replace_file(path, b"newer")

    assert path.read_bytes() == b"newer"
    assert [*tmp_path.iterdir()] == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the content has reached the disk when it is full."""
    path = tmp_path / "run.json"
    replace_file(path, b"older")

    def half(draft: pathlib.Path, content: bytes) -> None:
        with draft.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left on device"):
        replace_file(path, b"newer")

    assert path.read_bytes() == b"older"
    assert [*tmp_path.iterdir()] == [path]
