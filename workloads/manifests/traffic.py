"""Bring traces into the cluster, as small files beside the order."""

import hashlib
import pathlib
import re

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.plan.lineup import Lineup
from optimal_tp.plan.traces import portable
from optimal_tp.settings.workload import Load, WorkloadSettings

MOST_BYTES = 900_000
"""Largest size of all traces together: a ConfigMap holds 1 MiB, and the order is in it too."""


def traces(plan: Lineup) -> dict[str, str]:
    """Return the traces that the models' settings name, which the plan has read, by the name of their file in the pod.

    Raises SettingsError if they exceed a ConfigMap.
    """
    found = {
        _name(load): portable(pathlib.Path(load.trace), most_requests=load.trace_requests)
        for load in (model.settings.load for model in plan.models)
        if load.trace is not None
    }
    size = sum(map(len, found.values()))
    if size > MOST_BYTES:
        most = max(model.settings.load.trace_requests for model in plan.models)
        rule = f"must be lower: traces travel in a ConfigMap of at most {MOST_BYTES:,} bytes, and these take {size:,}"
        remedy = "lower it, or measure fewer models with traces of their own"
        raise SettingsError([Problem(path="workloads.load.trace_requests", value=most, rule=rule, remedy=remedy)])
    return found


def in_the_pod(settings: WorkloadSettings, folder: str) -> WorkloadSettings:
    """Return ``settings`` with the path of the trace in the pod, in ``folder``."""
    if settings.load.trace is None:
        return settings
    there = settings.load.model_copy(update={"trace": f"{folder}/{_name(settings.load)}"})
    return settings.model_copy(update={"load": there})


def _name(load: Load) -> str:
    """Return the name of a trace's file in the pod: its name on this machine, and a part that makes it unique."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", pathlib.Path(str(load.trace)).stem)
    return f"{name}-{hashlib.sha256(f'{load.trace} {load.trace_requests}'.encode()).hexdigest()[:8]}.csv"
