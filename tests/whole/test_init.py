"""``optimal-tp init``: its answers, its defaults, and the stack file that it writes."""

import json
import pathlib
import shlex
import shutil
import sys
import typing

import pytest
import yaml

from optimal_tp.__main__ import main
from optimal_tp.cli.terminal.argument_parser import parser_of, top
from optimal_tp.settings.described.fields import all_settings
from optimal_tp.settings.workload import Model
from tests.fakes_stack_files import ROOT
from tests.fakes_tree import tracked

ANSWERS: typing.Final = {
    "--zone": "ap-southeast-4c",
    "--network": "198.51.100.7/32",
    "--usd-per-hour": "2.25",
    "--budget-usd": "20",
}


def words(folder: pathlib.Path, *more: str, **changed: str) -> list[str]:
    """Return an init in ``folder`` with sound answers, those in ``changed`` instead, and ``more`` words."""
    answers = {**ANSWERS, **{f"--{name.replace('_', '-')}": value for name, value in changed.items()}}
    return ["init", *(word for pair in answers.items() for word in pair), "--folder", str(folder), *more]


def written(folder: pathlib.Path, section: str) -> typing.Any:
    """Return a section of the file that init wrote."""
    return yaml.safe_load((folder / "Pulumi.dev.yaml").read_text(encoding="utf-8"))["config"][f"optimal-tp:{section}"]


def answer_at_a_terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Give ``answers`` to the questions, in their order."""
    lines = iter(answers)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdin, "readline", lambda: next(lines) + "\n", raising=False)


BOTH_LIMITS: typing.Final = {
    "ttft_ms": {"percentile": 99, "at_most_ms": 450},
    "tpot_ms": {"percentile": 99, "at_most_ms": 40},
}


def test_every_limit_is_written(tmp_path: pathlib.Path) -> None:
    """The last one does not replace those before it."""
    assert main(words(tmp_path, "--limit", "p99_ttft_ms=450", "--limit", "p99_tpot_ms=40")) == 0
    assert written(tmp_path, "workloads")["limits"] == BOTH_LIMITS


def test_a_terminal_takes_several_limits(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With spaces between them."""
    answer_at_a_terminal(monkeypatch, "", "", "p99_ttft_ms=450  p99_tpot_ms=40")

    assert main(words(tmp_path)) == 0
    assert written(tmp_path, "workloads")["limits"] == BOTH_LIMITS


def test_every_bad_limit_is_named(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also a second one of the same metric, for which a stack file has no place."""
    limits = ("p99_ttft_ms=450", "p95_ttft_ms=300", "p95=250ms")

    assert main(words(tmp_path, *(word for each in limits for word in ("--limit", each)))) == 2
    assert [line.partition(";")[0] for line in capsys.readouterr().err.splitlines()] == [
        "--limit: must limit each metric once (got 'p95_ttft_ms=300')",
        ("--limit: must be a percentile, a metric (total, ttft or tpot) and a limit above 0 in ms (got 'p95=250ms')"),
    ]


def test_a_word_for_an_amount_hides_no_other_bad_answer(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does a zone whose region has no Trainium2: all are told at once, in the order of the questions."""
    bad = {
        "zone": "us-east-1a",
        "network": "0.0.0.0/0",
        "reservation": "lr-1",
        "usd_per_hour": "two",
        "budget_usd": "x",
    }

    assert main(words(tmp_path, **bad, model="Qwen/Qwen3-8B", limit="p95=250ms")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        *("--zone", "--network", "--reservation", "--usd-per-hour", "--budget-usd", "--model", "--limit")
    ]
    assert lines[0] == (
        "--zone: must lie in a region that offers trn2.3xlarge: on 2026-10-03 only ap-southeast-4, ap-south-2, "
        "sa-east-1 did (got 'us-east-1a'); choose one of these regions; docs/get-started/aws.md says how to add "
        "another region"
    )
    assert lines[4] == "--budget-usd: must be a number above 0 (got 'x')"


def test_a_zone_of_the_other_type_names_it(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ohio has only the larger type."""
    assert main(words(tmp_path, zone="us-east-2a")) == 2
    assert "; choose one of these regions, or --instance-type trn2.48xlarge; " in capsys.readouterr().err


@pytest.mark.parametrize(("said", "usd"), [("2.25", 2.25), ("1e1", 10), ("1_0", 10)])
def test_an_amount_is_written_as_a_number(said: str, usd: float, tmp_path: pathlib.Path) -> None:
    """YAML reads 1e1 as a word."""
    assert main(words(tmp_path, usd_per_hour=said, budget_usd="200")) == 0
    assert written(tmp_path, "infra")["neuron"]["price"]["usd_per_hour"] == usd


def examples(text: str) -> list[list[str]]:
    """Return the words of each init in the examples of a help."""
    lines = text.partition("Example")[2].replace("\\\n", " ").splitlines()
    return [
        shlex.split(line.partition("  a ")[0]) for line in map(str.strip, lines) if line.startswith("optimal-tp init")
    ]


EXAMPLES: typing.Final = examples(parser_of("init").format_help())


def test_the_first_help_has_an_example_of_init() -> None:
    """One of those that are run below."""
    assert [each in EXAMPLES for each in examples(top().format_help())] == [True]


def test_the_first_run_on_aws_names_init() -> None:
    """The example whose answers are asked for."""
    assert f"`{shlex.join(EXAMPLES[0])}`" in (ROOT / "docs/get-started/aws.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", EXAMPLES, ids=["asks", "answered"])
def test_an_example_works_in_a_fresh_clone(
    example: list[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the stack files of the repository stand; what is asked is answered at a terminal."""
    for path in tracked("Pulumi*.yaml"):
        if path.parent == ROOT:
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    answer_at_a_terminal(monkeypatch, "ap-southeast-4c", "198.51.100.7/32", "", "2.25", "", "", "")

    assert main(example[1:]) == 0
    assert main(["settings", "check", "--stack", "mine"]) == 0
    assert "Pulumi.mine.yaml: the form is right" in capsys.readouterr().out


def test_each_default_that_was_taken_is_printed(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And without a reservation one line warns of nodes on demand."""
    needed = [word for name in ("--zone", "--network", "--usd-per-hour") for word in (name, ANSWERS[name])]

    assert main(["init", *needed, "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "default taken: --reservation none",
        "default taken: --budget-usd 20",
        "default taken: --model Qwen/Qwen3-0.6B",
        "default taken: --limit p99_total_ms=400",
        (
            "warning: --reservation: none, so on demand; AWS publishes no on-demand price for trn2, and such capacity "
            "is rarely available: docs/how-to/capacity-block.md says how to reserve nodes"
        ),
        f"{tmp_path / 'Pulumi.dev.yaml'} written; next: optimal-tp preflight --stack dev",
    ]


def test_what_was_answered_is_no_default(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but the last line is printed, and JSON has empty lists."""
    given = ("--reservation", "cr-0123456789abcdef1", "--model", "Qwen/Qwen3-0.6B", "--limit", "p99_ttft_ms=450")

    assert main(words(tmp_path, *given)) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    (tmp_path / "Pulumi.dev.yaml").unlink()
    assert main(words(tmp_path, *given, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["defaults"], told["warnings"]) == ({}, [])


def test_defaults_at_a_terminal_were_shown_with_the_questions(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the warning is new to whoever answered."""
    answer_at_a_terminal(monkeypatch, "", "", "")

    assert main(words(tmp_path)) == 0
    said = capsys.readouterr().out
    assert ("default taken" in said, said.count("warning: --reservation: none")) == (False, 1)


def test_check_warns_of_nodes_on_demand(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that init wrote without a reservation; with one there is nothing to say."""
    monkeypatch.setenv("PATH", "")
    path = str(tmp_path / "Pulumi.dev.yaml")
    start = "infra.neuron.capacity_types: on-demand without a reservation; AWS publishes no on-demand price for trn2"

    assert main(words(tmp_path, network="52.1.2.3/32")) == 0
    capsys.readouterr()
    assert main(["settings", "check", path, "--json"]) == 0
    assert [each.startswith(start) for each in json.loads(capsys.readouterr().out)["warnings"]] == [True]
    pathlib.Path(path).unlink()
    assert main(words(tmp_path, network="52.1.2.3/32", reservation="cr-0123456789abcdef1")) == 0
    capsys.readouterr()
    assert main(["settings", "check", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


def test_the_file_names_the_default_model_and_batch(tmp_path: pathlib.Path) -> None:
    """The model with its commit; the batch in a comment, so that a preset may still set another."""
    assert main(words(tmp_path)) == 0
    assert written(tmp_path, "workloads")["model"] == {"name": Model().name, "revision": Model().revision}
    text = (tmp_path / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    assert f"# Each server works on {Model().max_num_seqs} request at a time, the default; model.max_num_seqs " in text


def test_a_budget_limits_the_hours_in_use(tmp_path: pathlib.Path) -> None:
    """A Capacity Block is paid in full, whatever the budget: help, file and explanation say both."""
    assert main(words(tmp_path)) == 0
    texts = (
        (tmp_path / "Pulumi.dev.yaml").read_text(encoding="utf-8").replace("\n    #", ""),
        parser_of("init").format_help(),
        next(each.meaning for each in all_settings() if each.key == "spend.budget_usd"),
    )

    for text in (" ".join(each.split()) for each in texts):
        assert "that the hours in use may cost" in text
        assert "Capacity Block is paid in full, even if" in text
