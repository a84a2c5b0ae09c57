"""``optimal-tp local``: which interpreter it takes, what it prints as JSON, and the report in the browser."""

import json
import pathlib
import webbrowser

import pytest

from optimal_tp.__main__ import main
from optimal_tp.cli import local
from optimal_tp.local.program import LocalRequest


@pytest.fixture
def taken(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[LocalRequest]:
    """Return what the command asks for; nothing is run, and the current folder is empty."""
    requests: list[LocalRequest] = []

    async def run(request: LocalRequest, **_: object) -> int:
        requests.append(request)
        return 0

    monkeypatch.setattr(local, "run_locally", run)
    monkeypatch.chdir(tmp_path)
    return requests


def test_what_make_installed_is_the_default(taken: list[LocalRequest]) -> None:
    """So that the first example of the help runs; the profile's name goes with the run."""
    local.VLLM_PYTHON.parent.mkdir(parents=True)
    local.VLLM_PYTHON.touch()

    assert main(["local", "--profile", "quick"]) == 0
    assert main(["local", "--vllm-python", "own/python"]) == 0
    assert [each.python for each in taken] == [local.VLLM_PYTHON, pathlib.Path("own/python")]
    assert [each.profile_name for each in taken] == ["quick", "quick"]


def test_without_vllm_one_sentence_says_how_to_get_it(
    taken: list[LocalRequest], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is run."""
    assert main(["local", "--profile", "quick"]) == 2
    assert capsys.readouterr().err == (
        "--vllm-python: must name an interpreter that has vLLM where .venv-vllm/bin/python is missing (not set); "
        "run `make local` in a clone, which installs it, or name your own\n"
    )
    assert taken == []


def test_the_report_opens_at_the_end(
    taken: list[LocalRequest], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Only where it is asked for."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    main(["local", "--vllm-python", "python"])
    main(["local", "--vllm-python", "python", "--out", "runs", "--open"])

    assert len(taken) == 2
    assert opened == [(tmp_path / "runs" / "last" / "report.html").as_uri()]


def test_a_checked_profile_is_said_to_be_right(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, so that success is not silence."""
    assert main(["local", "--check", "--profile", "quick"]) == 0
    [line] = capsys.readouterr().out.splitlines()

    assert line.endswith("quick.yaml: the form is right")


def test_a_checked_profile_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object, as of settings check."""
    assert main(["local", "--check", "--profile", "quick", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)

    assert said["valid"]
    assert said["file"].endswith("quick.yaml")
