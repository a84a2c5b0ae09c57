"""Which module of vLLM serves, in environments that have a newer one, an older one, or none."""

import pathlib
import sys

import pytest

from optimal_tp.local.server import ENTRY, OLDER_ENTRY, entry_of

pytestmark = pytest.mark.measurement


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["__init__.py", "entrypoints/launchers/api_server/entry.py", "entrypoints/openai/api_server.py"], ENTRY),
        (["__init__.py", "entrypoints/openai/api_server.py"], OLDER_ENTRY),
        ([], OLDER_ENTRY),
    ],
    ids=["0.32", "before", "none"],
)
def test_the_module_that_serves_is_found_without_importing_vllm(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, files: list[str], expected: str
) -> None:
    """The newer module where it is there; each file of this vLLM would end whoever imports it."""
    for name in files:
        path = tmp_path / "vllm" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit(1)\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert entry_of(pathlib.Path(sys.executable)) == expected


def test_an_interpreter_that_does_not_start_is_left_to_the_servers_start(tmp_path: pathlib.Path) -> None:
    """Which tells what is wrong with it."""
    assert entry_of(tmp_path / "python") == OLDER_ENTRY
