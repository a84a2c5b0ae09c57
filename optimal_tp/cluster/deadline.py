"""The hard stop: a run ends before its budget is spent, and its servers stop with it."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import datetime as dt
import functools
import pathlib

from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.ground import utc_now
from optimal_tp.errors import CapacityError, ServerFailed
from optimal_tp.experiment.turns import Halt
from optimal_tp.pods.kubernetes import NotThere
from optimal_tp.telemetry.console import Watcher

MARGIN_SECONDS = 60.0
"""The run ends this long before the deadline, at which the guard stops the servers."""
_LOOK_SECONDS = 15.0
"""How often the deadline is read again; the kubelet takes about a minute to update a changed ConfigMap."""


def read_deadline(path: pathlib.Path) -> dt.datetime:
    """Return the date in ``path``, ISO 8601 with its time zone. Raises CapacityError if it cannot be read."""
    try:
        found = dt.datetime.fromisoformat(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as error:
        raise CapacityError(
            f"the budget's deadline in {path} cannot be read, so nothing is started: {error}; "
            "run `pulumi up` to write it again"
        ) from error
    if found.tzinfo is None:
        raise CapacityError(
            f"the budget's deadline in {path} must have a time zone (got {found}), so nothing is started; "
            "run `pulumi up` to write it again"
        )
    return found


@contextlib.asynccontextmanager
async def within_budget(
    path: pathlib.Path | None,
    halt: Halt,
    *,
    goes_on: bool = False,
    look_seconds: float = _LOOK_SECONDS,
    now: collections.abc.Callable[[], dt.datetime] = utc_now,
) -> collections.abc.AsyncIterator[None]:
    """End the context a minute before the deadline in ``path``, which may change meanwhile; None: no deadline.

    If the deadline is over, a resumed run (``goes_on``) ends at once, and its earlier results are judged. Raises
    CapacityError if the deadline is over for a new run, or cannot be read.
    """
    if path is None:
        yield
        return
    deadline = read_deadline(path)
    if _seconds_left(deadline, now) <= 0 and not goes_on:
        raise CapacityError(
            f"the budget ended at {deadline.isoformat(timespec='seconds')}, so nothing is started; raise "
            "spend.budget_usd or set another loadtest.run to measure again"
        )
    watch = asyncio.create_task(_watch(path, deadline, halt, look_seconds, now))
    try:
        yield
    finally:
        watch.cancel()


async def _watch(
    path: pathlib.Path,
    deadline: dt.datetime,
    halt: Halt,
    look_seconds: float,
    now: collections.abc.Callable[[], dt.datetime],
) -> None:
    while (left := _seconds_left(deadline, now)) > 0:
        await asyncio.sleep(min(left, look_seconds))
        # While the file is being changed, the date that was read before still holds.
        with contextlib.suppress(CapacityError):
            deadline = read_deadline(path)
    when = deadline.isoformat(timespec="seconds")
    halt.set("budget", f"the budget ends at {when} (spend.budget_usd); what was measured until then is kept")


def _seconds_left(deadline: dt.datetime, now: collections.abc.Callable[[], dt.datetime]) -> float:
    return (deadline - now()).total_seconds() - MARGIN_SECONDS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cores:
    """All Deployments and Jobs of an experiment that hold cores or may request them."""

    controls: Controls
    deployments: tuple[str, ...]
    jobs: tuple[str, ...]
    pauses_seconds: tuple[float, ...] = (5, 15, 30, 60)
    """Pauses before further tries, so that a restart of the API server does not leave nodes billing for long."""

    async def free(self) -> None:
        """Stop every server and suspend every Job; one that fails does not keep the others from stopping.

        Raises ServerFailed with the failures of the last try.
        """
        left = [
            *(functools.partial(self.controls.scale, name, 0) for name in self.deployments),
            *(functools.partial(self.controls.suspend, name) for name in self.jobs),
        ]
        for pause in (*self.pauses_seconds, None):
            failures, again = [], []
            for act in left:
                try:
                    await asyncio.to_thread(act)
                except NotThere:
                    continue
                except ServerFailed as error:
                    failures.append(str(error))
                    again.append(act)
            left = again
            if not left:
                return
            if pause is not None:
                await asyncio.sleep(pause)
        raise ServerFailed("; ".join(failures))


@contextlib.asynccontextmanager
async def cores_free_after(cores: Cores | None, halt: Halt, watcher: Watcher) -> collections.abc.AsyncIterator[None]:
    """Free ``cores`` when the context ends, unless a signal ended it: then a later process continues on them.

    Servers that could not be stopped are reported; the guard stops them at the deadline.
    """
    try:
        yield
    finally:
        if cores is not None and all(how != "interrupted" for how, _ in halt.reasons[:1]):
            try:
                await cores.free()
            except ServerFailed as error:
                watcher.say(f"not every server was stopped; the guard will stop the rest at the deadline: {error}")
            else:
                watcher.say("the servers are stopped; Karpenter removes their nodes once they are empty")


async def until_signalled(halt: Halt, *, look_seconds: float = 1.0) -> None:
    """Wait until a signal ends the program; whatever ended the run before does not count."""
    while not halt.is_interrupted:  # noqa: ASYNC110 - the run's end has set the event
        await asyncio.sleep(look_seconds)
