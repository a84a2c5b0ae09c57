"""Several models on this machine, one after the other, each as an ordinary run; then the table across them."""

import collections.abc
import dataclasses
import datetime as dt

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.experiment.legs import SweepKeeper, measure_all, planned
from optimal_tp.experiment.session import run_name
from optimal_tp.experiment.turns import Halt
from optimal_tp.local.profile import Profile
from optimal_tp.local.program import Request, point_to, run_locally
from optimal_tp.report.sweep import conclude_sweep, read_sweep
from optimal_tp.results.folder import new_folder
from optimal_tp.telemetry.console import Watcher


async def sweep_locally(
    request: Request, profiles: collections.abc.Sequence[Profile], *, watcher: Watcher, halt: Halt
) -> int:
    """Run ``request`` for each of ``profiles``, and return the gravest exit status of all.

    Raises what ``run_locally`` raises for an interruption or a full disk, SettingsError for a model directory: a sweep
    has several models.
    """
    if request.model_directory is not None:
        rule = f"it is one model, and the profile has {len(profiles)}"
        remedy = "leave MODEL out, or choose a profile with one model"
        raise SettingsError([Problem(path="MODEL", value=str(request.model_directory), rule=rule, remedy=remedy)])
    name = run_name(dt.datetime.now(dt.UTC))
    folder = new_folder(request.out / name)
    point_to(folder, request.out / "last")
    sweep = planned(name, (profile.workloads for profile in profiles))

    async def measure(index: int) -> None:
        """Run the sweep's model of that place."""
        profile = profiles[index]
        own = dataclasses.replace(
            request,
            profile=profile,
            out=folder,
            folder=sweep.legs[index].folder,
            model_title=profile.workloads.model.title,
        )
        await run_locally(own, watcher=watcher, halt=halt)

    await measure_all(sweep, measure, SweepKeeper(folder, None), watcher, halt)
    watcher.end()
    return conclude_sweep(read_sweep(str(folder)), folder)
