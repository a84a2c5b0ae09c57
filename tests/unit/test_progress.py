"""Progress for people: a bar on a terminal, plain lines for logs."""

import dataclasses
import io
import re

from rich.console import Console

from optimal_tp.telemetry.console import PlainWatcher, TerminalWatcher, watcher
from tests.fakes_watch import look


def test_without_a_terminal_each_thing_is_one_plain_line() -> None:
    """Time since the start, then the words as they are: no markup, no wrapping, no control characters."""
    written = io.StringIO()
    with watcher(Console(file=written, width=20)) as watching:
        watching.say("TP1 [bold]is ready[/bold] after 31 s, which is a long line")
        watching.stage("blocks", total=120)
        watching.advance("block 1", done=3)
    lines = written.getvalue().splitlines()

    assert isinstance(watching, PlainWatcher)
    assert re.fullmatch(r" +\d\.\d s  TP1 \[bold\]is ready\[/bold\] after 31 s, which is a long line", lines[0])
    assert lines[1].endswith("blocks (at most 2 min)")
    assert len(lines) == 2


def test_a_long_stage_says_how_far_it_is_once_a_minute() -> None:
    """Only what has changed, and nothing of the stage before."""
    written, now = io.StringIO(), [0.0]
    watching = PlainWatcher(Console(file=written), clock=lambda: now[0])
    watching.stage("fetching the model", total=None)
    for seconds, detail in ((30, "1 GB"), (60, "2 GB"), (90, "3 GB"), (130, "2 GB"), (140, "4 GB")):
        now[0] = seconds
        watching.advance(detail, done=seconds)
    watching.stage("compiling", total=None)
    watching.advance("5 GB", done=0)

    assert [line.split(" s  ")[1] for line in written.getvalue().splitlines()] == [
        *("fetching the model", "2 GB", "4 GB", "compiling"),
    ]


def test_a_terminal_gets_a_bar_with_stage_detail_and_time_left() -> None:
    """What is under way can be seen without scrolling."""
    written = io.StringIO()
    with watcher(Console(file=written, force_terminal=True, width=100)) as watching:
        watching.stage("blocks", total=100)
        watching.advance("block 3", done=50)
        watching.end()
        before = written.tell()
        watching.advance("block 4", done=60)
        watching.say("the verdict")

    assert isinstance(watching, TerminalWatcher)
    assert "blocks" in written.getvalue()
    assert "block 3, at most 50 s left" in written.getvalue()
    assert re.fullmatch(
        r" +\d+\.\d s  the verdict", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue()[before:]).strip("\r\n")
    )


def test_a_terminal_gets_bars_for_time_and_precision() -> None:
    """As soon as a look tells them; no line is longer than the terminal, so that nothing is left behind."""
    written = io.StringIO()
    told = dataclasses.replace(look(9, 1.2, 1.6), resolution=0.05, spent_seconds=900.0, budget_seconds=3600.0)
    with watcher(Console(file=written, force_terminal=True, width=80)) as watching:
        watching.stage("blocks", total=100)
        watching.look(told)
        watching.advance("9 of 40, and much more than fits in one line of a terminal of eighty columns", done=50)
        watching.end()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "\n", written.getvalue())

    assert "15 min of 60 min" in shown
    assert "±15.5 %, goal ±5 %" in shown
    assert max(len(line) for line in re.split(r"[\r\n]+", shown) if "block 9:" not in line) <= 80
