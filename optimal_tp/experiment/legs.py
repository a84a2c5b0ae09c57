"""Measure a sweep's models one after the other; if one fails, the next one still has its turn."""

import collections.abc
import pathlib

from optimal_tp.errors import Interrupted, OptimalTpError, ResumeFailed, StorageFailed
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement.sweep import SWEEP, Leg, Sweep, decode_sweep, encode_sweep
from optimal_tp.results.folder import Bucket, storage_failed, write_whole
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.telemetry.console import Watcher

Measure = collections.abc.Callable[[int], collections.abc.Awaitable[None]]
"""Measures the model at an index of the sweep, until its run has a verdict."""


def planned(name: str, settings: collections.abc.Iterable[WorkloadSettings]) -> Sweep:
    """Return the record of a sweep that has not begun, a folder per model."""
    legs = (Leg(model=each.model.name, folder=each.model.slug) for each in settings)
    return Sweep(sweep=name, legs=tuple(legs))


class SweepKeeper:
    """Keeps a sweep's record in ``folder``, and in ``bucket`` if there is one."""

    def __init__(self, folder: pathlib.Path, bucket: Bucket | None) -> None:
        """Write beside the runs' folders."""
        self.folder = folder
        self.bucket = bucket

    def restored(self, planned: Sweep) -> Sweep:
        """Return the record that an earlier process kept; ``planned`` if it kept none.

        Raises ResumeFailed if this release cannot read the record or it has other models, and StorageFailed if folder
        or bucket fail.
        """
        path = self.folder / SWEEP
        if self.bucket is not None and not path.exists():
            self.bucket.fetch(self.folder, lambda name: name == SWEEP, SWEEP)
        try:
            found = decode_sweep(path.read_text(encoding="utf-8")) if path.exists() else planned
        except OSError as error:
            raise storage_failed(self.folder, error) from None
        except ValueError as error:
            why = f"{path} does not hold a sweep that this release can continue ({error})"
            raise ResumeFailed(f"{why}; a new sweep begins") from error
        if [(leg.model, leg.folder) for leg in found.legs] != [(leg.model, leg.folder) for leg in planned.legs]:
            raise ResumeFailed(f"{path} holds a sweep of other models than these settings; a new sweep begins")
        return found

    def keep(self, sweep: Sweep) -> None:
        """Write ``sweep`` atomically. Raises StorageFailed if the folder cannot be written."""
        path = write_whole(self.folder, SWEEP, encode_sweep(sweep))
        if self.bucket is not None:
            self.bucket.store([path])


async def measure_all(sweep: Sweep, measure: Measure, keeper: SweepKeeper, watcher: Watcher, halt: Halt) -> None:
    """Measure every model of ``sweep`` in order, until ``halt`` is set.

    A model that fails is recorded with its message, and the next one has its turn; a resumed sweep does not repeat it.
    The end of the budget raises nothing, because the results so far are to be reported. Raises Interrupted for a
    signal, StorageFailed and ResumeFailed.
    """
    keeper.keep(sweep)
    for index, leg in enumerate(sweep.legs):
        if halt.event.is_set():
            return
        if leg.state == "failed":
            continue
        sweep = sweep.changed(index, "running")
        keeper.keep(sweep)
        watcher.say(f"model {index + 1} of {len(sweep.legs)}: {leg.model}")
        try:
            await measure(index)
        except Interrupted as error:
            is_budget = all(how == "budget" for how, _ in halt.reasons)
            # After a signal another process may continue with the results in the bucket.
            goes_on = keeper.bucket is not None and not is_budget
            keeper.keep(sweep.changed(index, "running" if goes_on else "failed", str(error)))
            if is_budget:
                return
            raise
        except StorageFailed as error:
            keeper.keep(sweep.changed(index, "failed", str(error)))
            raise
        except ResumeFailed:
            raise
        except OptimalTpError as error:
            sweep = sweep.changed(index, "failed", str(error))
            watcher.say(f"{leg.model} was not fully measured: {error}")
        else:
            sweep = sweep.changed(index, "ended")
        keeper.keep(sweep)
