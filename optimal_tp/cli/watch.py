"""Follow the newest run in the cluster, from its bucket and CloudWatch. Ctrl-C ends the watching, never the run.

With --json each change is one line of JSON.

Exit status: 0 the run is over, 2 it cannot be watched, 130 interrupted.
Example: optimal-tp watch
  optimal-tp watch --stack dev --once --json
"""

import argparse
import collections.abc
import contextlib
import datetime as dt
import json
import sys
import time
import typing

import rich.console
import rich.live
import rich.progress_bar
import rich.table
import rich.text

from optimal_tp.cli.report import concluded
from optimal_tp.cli.stack.results import UNREAD, configure_place, is_final, place_of, unreadable
from optimal_tp.cli.terminal import output
from optimal_tp.errors import Interrupted
from optimal_tp.telemetry.lines import UNKNOWN, Spending, as_data, bars, brief, lines
from optimal_tp.telemetry.snapshot import Sight, Snapshot

LOOK_SECONDS = 15.0
_LEAST_SECONDS = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    configure_place(parser)
    parser.add_argument(
        "--every-seconds", type=float, default=LOOK_SECONDS, metavar="S", help="time between two looks (default 15)"
    )
    parser.add_argument("--once", action="store_true", help="look once and end")


def main(asked: argparse.Namespace) -> int:
    """Follow the newest run; return 0 when it is over. Raises SettingsError if it cannot be watched."""
    place = place_of(asked)
    spending, session = spending_of(place.outputs) if place.outputs else UNKNOWN, place.session
    sight = Sight(place.uri, session.client("s3"), lambda region: session.client("cloudwatch", region_name=region))
    console = rich.console.Console(highlight=False)
    screen = Data(console, spending) if output.is_json(asked) else Screen(console, spending)
    every = max(_LEAST_SECONDS, asked.every_seconds)
    try:
        with screen:
            last = follow(sight, place.uri, screen, every_seconds=0.0 if asked.once else every)
    except KeyboardInterrupt:
        raise Interrupted("stopped watching; the run continues") from None
    if last.answers and not output.is_json(asked) and not asked.once:
        # The run is over, whatever the verdict; watch does not return the verdict's exit status.
        concluded(last.root, session.client("s3"))
    return 0


def follow(
    sight: Sight,
    results: str,
    screen: "Screen",
    *,
    every_seconds: float,
    sleep: collections.abc.Callable[[float], None] = time.sleep,
    clock: collections.abc.Callable[[], float] = time.time,
) -> Snapshot:
    """Show what ``sight`` sees at every look until the run is over; an interval of 0 looks once. Return the last look.

    Raises SettingsError if the bucket cannot be read at the first look, or for a permanent error.
    """
    seen = False
    while True:
        try:
            scene = sight.look(clock())
        except UNREAD as error:
            if not seen or is_final(error):
                raise unreadable(results, error) from error
            screen.trouble(f"AWS does not answer at the moment ({error}); trying again")
        else:
            seen = True
            screen.show(scene)
            if scene.is_over or not every_seconds:
                return scene
        sleep(every_seconds)


class Screen:
    """Lines and bars that are rewritten on a terminal; elsewhere one line for each change."""

    def __init__(self, console: rich.console.Console, spending: Spending) -> None:
        """Write to ``console``; ``spending`` is the cost of the stack."""
        self._console = console
        self._spending = spending
        self._live = rich.live.Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._last = ""

    def __enter__(self) -> typing.Self:
        """Reserve the screen's last lines."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave what was shown last."""
        if self._live is not None:
            self._live.stop()

    def show(self, scene: Snapshot) -> None:
        """Show ``scene``."""
        if self._live is not None:
            self._live.update(_drawn(scene, self._spending), refresh=True)
            return
        line = brief(scene)
        if line == self._last:
            return
        self._last = line
        said = lines(scene, self._spending) if scene.is_over or not scene.progress else [line]
        self._console.print(rich.text.Text("\n".join(said)), soft_wrap=True)

    def trouble(self, sentence: str) -> None:
        """Print ``sentence`` above the rest."""
        self._console.print(rich.text.Text(sentence), soft_wrap=True)


class Data(Screen):
    """One line of JSON for each change."""

    def __init__(self, console: rich.console.Console, spending: Spending) -> None:
        """Write to ``console``; trouble goes to standard error."""
        super().__init__(rich.console.Console(file=console.file, force_terminal=False), spending)

    def show(self, scene: Snapshot) -> None:
        """Write ``scene``."""
        line = brief(scene)
        if line != self._last:
            self._last = line
            print(json.dumps(as_data(scene, self._spending)), file=self._console.file, flush=True)

    def trouble(self, sentence: str) -> None:
        """Print ``sentence``, apart from the data."""
        print(sentence, file=sys.stderr)  # noqa: T201 - likewise


def _drawn(scene: Snapshot, spending: Spending) -> rich.console.RenderableType:
    """Return the lines of ``scene``, its model and silence in colour, and its bars below."""
    said = rich.text.Text("\n".join(lines(scene, spending)))
    said.highlight_regex(r"^.*(silent for|no verdict).*$", "bold red")
    if scene.progress is not None:
        said.highlight_words([scene.progress.model], "bold")
    grid = rich.table.Table.grid(padding=(0, 1))
    for each in bars(scene, spending):
        grid.add_row(each.label, rich.progress_bar.ProgressBar(total=1.0, completed=each.share, width=24), each.words)
    return rich.console.Group(said, grid)


def spending_of(outputs: collections.abc.Mapping[str, typing.Any]) -> Spending:
    """Return the cost of a stack with these ``outputs``."""
    stops_at = None
    with contextlib.suppress(ValueError):  # "never: spend.keep_running" has no clock
        stops_at = dt.datetime.fromisoformat(str(outputs.get("servers_stop_at", "")))
    usd_per_hour, budget_usd = _number(outputs.get("usd_per_hour")), _number(outputs.get("budget_usd"))
    return Spending(usd_per_hour=usd_per_hour, budget_usd=budget_usd, stops_at=stops_at)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
