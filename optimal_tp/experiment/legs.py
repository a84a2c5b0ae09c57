"""A sweep's models one after the other; what cannot be measured does not keep the next from its turn."""

import collections.abc
import pathlib

from optimal_tp.errors import Interrupted, OptimalTpError, StorageFailed
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement.sweep import SWEEP, Leg, Sweep, encode_sweep
from optimal_tp.results.folder import Bucket, write_whole
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.telemetry.console import Watcher

Measure = collections.abc.Callable[[int], collections.abc.Awaitable[None]]
"""Measures the model at an index of the sweep, until its run has a verdict."""


def planned(name: str, settings: collections.abc.Iterable[WorkloadSettings]) -> Sweep:
    """Return the record of a sweep that has not begun, a folder per model."""
    legs = (Leg(model=each.model.name, folder=each.model.slug) for each in settings)
    return Sweep(sweep=name, legs=tuple(legs))


class SweepKeeper:
    """Keeps a sweep's record in ``folder``, and in ``bucket`` where there is one."""

    def __init__(self, folder: pathlib.Path, bucket: Bucket | None) -> None:
        """Write beside the runs' folders."""
        self.folder = folder
        self.bucket = bucket

    def keep(self, sweep: Sweep) -> None:
        """Write ``sweep`` whole or not at all. Raises StorageFailed when the folder takes no more."""
        path = write_whole(self.folder, SWEEP, encode_sweep(sweep))
        if self.bucket is not None:
            self.bucket.store([path])


async def measure_all(sweep: Sweep, measure: Measure, keeper: SweepKeeper, watcher: Watcher, halt: Halt) -> None:
    """Measure every model of ``sweep`` in order, until ``halt`` is set.

    A model that fails is kept as failed, with its sentence, and the next one has its turn. Where the money has ended
    nothing is raised: what was measured is to be reported. Raises Interrupted for a signal and StorageFailed.
    """
    keeper.keep(sweep)
    for index, leg in enumerate(sweep.legs):
        if halt.event.is_set():
            return
        sweep = sweep.changed(index, "running")
        keeper.keep(sweep)
        watcher.say(f"model {index + 1} of {len(sweep.legs)}: {leg.model}")
        try:
            await measure(index)
        except (Interrupted, StorageFailed) as error:
            keeper.keep(sweep.changed(index, "failed", str(error)))
            if isinstance(error, Interrupted) and all(how == "budget" for how, _ in halt.reasons):
                return
            raise
        except OptimalTpError as error:
            sweep = sweep.changed(index, "failed", str(error))
            watcher.say(f"{leg.model} was not measured to its end: {error}")
        else:
            sweep = sweep.changed(index, "ended")
        keeper.keep(sweep)
