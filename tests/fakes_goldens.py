"""Golden files: what was looked at once and agreed on. ``REWRITE_GOLDENS=1`` rewrites them, and fails the run."""

import os
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent / "golden"


def hold_to(name: str, text: str) -> None:
    """Fail unless the golden file ``name`` is ``text``; rewritten it fails too, so that somebody reads the change."""
    path = FOLDER / name
    if os.environ.get("REWRITE_GOLDENS") == "1":
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path.name} was rewritten: read the difference, then run without REWRITE_GOLDENS")
    assert path.read_text(encoding="utf-8") == text, f"{path.name} differs; REWRITE_GOLDENS=1 rewrites it"
