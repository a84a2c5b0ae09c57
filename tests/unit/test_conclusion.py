"""The verdict on a terminal and in a log."""

import io
import pathlib

import rich.console

from optimal_tp.report.conclusion import grid, judged_again, show
from optimal_tp.report.headline import certainty
from optimal_tp.results.source import read
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.predictions import UNCHECKED, Prediction
from optimal_tp.verdict.rule import decide
from tests.fakes_run import SEED_EXPERIMENT, no_fit, planted_run, store


def shown(*, terminal: bool) -> str:
    """Return what a console of 100 columns shows of a planted run."""
    record, samples = planted_run(SEED_EXPERIMENT[:2], ended=[no_fit(4)])
    target = io.StringIO()
    console = rich.console.Console(file=target, width=100, force_terminal=terminal, color_system=None, highlight=False)
    show(console, analyse(record, samples, decide(record, samples)), [pathlib.Path("out/run/report.html")])
    return target.getvalue()


def test_a_verdict_without_a_plan_says_that_none_was_held_against_it(tmp_path: pathlib.Path) -> None:
    """In a pod, which has no compiler for the simulation; where the plan was made nothing is said."""
    source = read(str(store(tmp_path, *planted_run(SEED_EXPERIMENT[:2]))))
    of_pod = judged_again(source, None).verdict
    with_plan = judged_again(source, lambda *_: Prediction(capacities=(), held_out=())).verdict

    assert of_pod.caveats == (*with_plan.caveats, UNCHECKED)
    assert certainty(of_pod).endswith(
        " This choice was not compared with the run's fleet plan; optimal-tp report compares them."
    )


def test_a_run_on_this_machine_says_first_that_it_is_practice() -> None:
    """Before any figure, on a terminal and in a log."""
    for terminal in (True, False):
        assert shown(terminal=terminal).splitlines()[:2] == [
            "Practice run on CPU cores: it shows how optimal-tp works, not how Trainium2 performs.",
            "",
        ]


def test_a_log_has_one_plain_line_per_degree() -> None:
    """Lines are whole, however long: a log is searched."""
    lines = shown(terminal=False).splitlines()[2:]

    assert lines[0].startswith("TP1  chosen  17")
    assert lines[1].startswith("TP2  43 % less per core  ")
    assert lines[2] == "TP4  not tested  —  needs 4 cores and this machine has 2"


def test_a_terminal_has_a_table() -> None:
    """Columns with heads, within the width."""
    lines = shown(terminal=True).splitlines()[2:]

    assert lines[0].split() == ["Candidate", "Result", "Tokens/s", "per", "core", "Decided", "by"]
    assert any(line.startswith("TP4") and "not tested" in line for line in lines)


def test_a_cell_of_a_table_is_no_markup() -> None:
    """Brackets are shown as they are, and a caption stands above."""
    target = io.StringIO()
    rich.console.Console(file=target, width=100).print(grid(("Place", "Why"), [("[red]", "x[/]")], "Left out"))

    assert [line.split() for line in target.getvalue().splitlines()] == [
        ["Left", "out"],
        ["Place", "Why"],
        ["[red]", "x[/]"],
    ]


def test_the_last_lines_are_the_verdict_and_the_report() -> None:
    """In both: the answer is where the eye is when it ends."""
    for terminal in (True, False):
        last = shown(terminal=terminal).splitlines()[-5:]

        assert last[0] == "Serve with TP1: most per core"
        assert last[1].startswith("Serve with TP1. Of the candidates measured it delivers the most: 17")
        assert last[4] == "Report: out/run/report.html"
