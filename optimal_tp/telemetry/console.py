"""What a person who watches sees: a line that is rewritten on a terminal, plain lines elsewhere."""

import collections.abc
import contextlib
import time
import typing

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from optimal_tp.measurement.estimate import duration
from optimal_tp.measurement.progress import Look
from optimal_tp.telemetry.lines import look_bars

_DETAIL_SECONDS = 60.0
"""At least so long after a stage's beginning, or its last detail, the next is a line."""


class Watcher(typing.Protocol):
    """Who is told how the run goes."""

    def say(self, line: str) -> None:
        """Tell one thing that happened."""

    def stage(self, name: str, *, total: float | None) -> None:
        """Tell that a stage began; ``total`` is its planned length in seconds, None if unknown."""

    def advance(self, detail: str, *, done: float) -> None:
        """Tell how far the stage is: ``done`` seconds of its total."""

    def look(self, look: Look) -> None:
        """Tell what the verdict's rule says after a block."""

    def end(self) -> None:
        """Leave the screen to what comes after the run."""


class PlainWatcher:
    """One line for each thing that happened, each with the time since the start: for logs and pipes."""

    def __init__(self, console: Console, *, clock: collections.abc.Callable[[], float] = time.monotonic) -> None:
        """Write to ``console``; ``clock`` returns seconds."""
        self._console = console
        self._clock = clock
        self._start = clock()
        self._detail, self._detailed = "", self._start

    def say(self, line: str) -> None:
        """Write ``line``."""
        self._console.print(
            f"{self._clock() - self._start:7.1f} s  {line}", highlight=False, markup=False, soft_wrap=True
        )

    def stage(self, name: str, *, total: float | None) -> None:
        """Write the stage's name and planned length."""
        self._detail, self._detailed = "", self._clock()
        self.say(name if total is None else f"{name} (at most {duration(total)})")

    def advance(self, detail: str, *, done: float) -> None:  # noqa: ARG002 - a bar's, which lines do not have
        """Write ``detail`` once a minute at most, and no line that only differs in the clock."""
        if detail != self._detail and self._clock() - self._detailed >= _DETAIL_SECONDS:
            self._detail, self._detailed = detail, self._clock()
            self.say(detail)

    def look(self, look: Look) -> None:
        """Write it in one line."""
        self.say(f"block {look.blocks}: {look.words}")

    def end(self) -> None:
        """Do nothing: lines are in nobody's way."""


class TerminalWatcher(PlainWatcher):
    """The same lines above a bar with the stage and the time left, and bars for time and precision once known."""

    def __init__(self, console: Console, bar: Progress) -> None:
        """Write to ``console`` above ``bar``."""
        super().__init__(console)
        self._bar = bar
        self._task = bar.add_task("", total=None, detail="")
        self._looks: dict[str, TaskID] = {}
        """Bars of the last look, by label."""

    def say(self, line: str) -> None:
        """Write ``line``, folded between words where the terminal ends, the rest below its first word."""
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(Text(f"{self._clock() - self._start:7.1f} s"), Text(line))
        self._console.print(row)

    def stage(self, name: str, *, total: float | None) -> None:
        """Start the bar anew."""
        self.say(name)
        self._bar.start()  # a sweep's next run begins below the verdict of the last
        self._bar.reset(self._task, description=name, total=total, detail="")

    def advance(self, detail: str, *, done: float) -> None:
        """Move the bar, and tell how much of the planned time is left."""
        total = self._bar.tasks[self._task].total
        left = "" if total is None else f", at most {max(0.0, total - done):.0f} s left"
        self._bar.update(self._task, completed=done, detail=f"{detail}{left}")

    def look(self, look: Look) -> None:
        """Write it in one line, and move the bars of time and precision."""
        super().look(look)
        for each in look_bars(look):
            if each.label not in self._looks:
                self._looks[each.label] = self._bar.add_task(each.label, total=1.0, detail="", still=True)
            self._bar.update(self._looks[each.label], completed=each.share, detail=each.words)

    def end(self) -> None:
        """Take the bars away: a sweep's next run begins without those of the last."""
        self._bar.stop()
        for task in self._looks.values():
            self._bar.remove_task(task)
        self._looks.clear()


class _StageClock(TimeElapsedColumn):
    """The time since the stage began; nothing beside what is no stage."""

    def render(self, task: Task) -> Text:
        """Return the time for ``task``; an empty text for one that stands still."""
        return Text() if task.fields.get("still") else super().render(task)


@contextlib.contextmanager
def watcher(console: Console | None = None) -> typing.Iterator[Watcher]:
    """Yield what suits the console: a bar on a terminal, plain lines elsewhere."""
    console = console or Console()
    if not console.is_terminal:
        yield PlainWatcher(console)
        return
    # Words are cut where the terminal ends: a bar that wraps leaves its first line behind at every refresh.
    columns = (
        BarColumn(bar_width=12, table_column=Column(min_width=12)),
        _StageClock(table_column=Column(min_width=7)),
        TextColumn(
            "{task.description}: {task.fields[detail]}",
            markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as bar:
        yield TerminalWatcher(console, bar)
