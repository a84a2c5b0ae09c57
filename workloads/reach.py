"""What one core of the load generator can produce, beside what is asked of it."""

import math

from workloads.cluster_settings import ClusterSettings
from workloads.settings import WorkloadSettings

# bench/README.md, 2026-11-23, one core of an Intel Xeon at full speed: 30,667 plain requests and 325,769 streamed
# chunks (32 in a request) per second of its processor; a streamed request costs its plain part and so much per chunk.
REQUEST_MICROSECONDS = 1e6 / 30_667
CHUNK_MICROSECONDS = (32 * 1e6 / 325_769 - REQUEST_MICROSECONDS) / 32
MOST_BUSY_SHARE = 0.5
"""A client that is busier than this is late when requests come close together, and the audit voids its turns."""


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
                f"are late above {pods * MOST_BUSY_SHARE:g} (one core: 325,769 streamed chunks/s at most, "
                f"bench/README.md, 2026-11-23); set loadtest.pods to {wanted}, or turns will be void"
            )
    return tuple(lines)
