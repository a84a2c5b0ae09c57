"""What the load generators can produce, beside what is asked of them, and whether the system nodes hold them."""

import collections.abc
import math

from optimal_tp.errors import Problem
from optimal_tp.settings.stack_file import ClusterSettings
from optimal_tp.settings.workload import WorkloadSettings

# bench/README.md, 2026-11-24, one core of an Intel Xeon at full speed: 35,561 plain requests and 57,657 streamed chunks
# (32 in a request, each in a read of its own) per second of its processor; chunks that come together cost a tenth.
REQUEST_MICROSECONDS = 1e6 / 35_561
CHUNK_MICROSECONDS = (32 * 1e6 / 57_657 - REQUEST_MICROSECONDS) / 32
MOST_BUSY_SHARE = 0.5
"""A client that is busier than this is late when requests come close together, and the audit voids its turns."""

TAKEN_MILLICORES = 70
"""Of a system node at least: kubelet's reserve of two cores by EKS's formula; DaemonSets and Karpenter come on top."""


def cores_needed(of: WorkloadSettings) -> float | None:
    """Return the cores that the asked load keeps busy; None where nothing says how fast a closed loop will turn.

    A closed loop that holds a limit on total latency turns at least as fast as the limit says.
    """
    rate = of.load.rate_per_second
    if rate is None:
        limit = of.limits.total_latency_ms
        if limit is None:
            return None
        rate = 1000 * max(of.load.concurrency) / limit.at_most_ms
    return rate * (REQUEST_MICROSECONDS + CHUNK_MICROSECONDS * of.load.output_tokens) / 1e6


def reach_lines(settings: ClusterSettings) -> tuple[str, ...]:
    """Return a warning for each model whose load is more than the load generators can produce on time."""
    pods = settings.loadtest.pods
    lines = []
    for of in settings.models:
        cores = cores_needed(of)
        wanted = 1 if cores is None else math.ceil(cores / MOST_BUSY_SHARE)
        if cores is not None and wanted > pods:
            lines.append(
                f"the load on {of.model.name} keeps {cores:.1f} cores of the load generator busy, and {pods} of them "
                f"are late above {pods * MOST_BUSY_SHARE:g} (one core: 57,657 streamed chunks/s at most, "
                f"bench/README.md, 2026-11-24); set loadtest.pods to {wanted}, or turns will be void"
            )
    return tuple(lines)


def seat_lines(settings: ClusterSettings) -> tuple[str, ...]:
    """Return what several load generators want of the nodes without the Neuron taint, for the preview."""
    wanted = settings.loadtest
    if wanted.pods == 1:
        return ()
    line = (
        f"{wanted.pods} load generators ask for {wanted.cpu_millicores} millicores each, which nodes without the "
        f"Neuron taint must have free: one that is not ready {wanted.start_after_seconds} s after the Job's start "
        "(loadtest.start_after_seconds) ends the run"
    )
    return (line,)


def unseated(
    settings: ClusterSettings, vcpus: collections.abc.Sequence[int] | None, *, file: str
) -> collections.abc.Iterator[Problem]:
    """Yield the problem of more load generators than even empty system nodes hold.

    ``vcpus``: of each system node; None where nobody knows, which is no problem yet.
    """
    wanted = settings.loadtest
    if vcpus is None or wanted.pods == 1:
        return
    left = [1000 * each - TAKEN_MILLICORES for each in vcpus]
    held = sum(each // wanted.cpu_millicores for each in left)
    if wanted.pods > held:
        rule = (
            f"{len(left)} system nodes with {left[0]} millicores for pods hold {held} at most that ask for "
            f"{wanted.cpu_millicores} each"
        )
        remedy = f"take a larger infra.system_nodes.instance_type, or lower loadtest.cpu_millicores, in {file}"
        yield Problem(path="loadtest.pods", value=wanted.pods, rule=rule, remedy=remedy)
