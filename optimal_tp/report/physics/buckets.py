"""Which compiled lengths the load of a run on Neuron needs, as a table's rows."""

import typing

from optimal_tp.measurement.estimate import percent
from optimal_tp.verdict.analysis import Analysis

BUCKETS_CAPTION: typing.Final = (
    "Buckets: how long this load was in tokens, the fewest buckets for its median, 99th percentile and longest, and "
    "those that the servers had"
)
BUCKETS_HEADS: typing.Final = (
    *("Length", "Requests", "p50", "p99", "Longest", "Fewest buckets", "Filled", "Compiled", "Filled as compiled"),
)


def bucket_rows(analysis: Analysis) -> tuple[tuple[str, ...], ...]:
    """Return a row for prompts and one for prompts with answers; none where the servers' cores are not Neuron's."""
    if analysis.record.place != "cluster":
        return ()
    words = {"prompt": "prompt", "context": "prompt and answer"}
    return tuple(
        (
            words[one.kind],
            f"{one.requests:,}",
            f"{one.p50:,}",
            f"{one.p99:,}",
            f"{one.longest:,}",
            ", ".join(map(str, one.buckets)),
            percent(one.filled),
            ", ".join(map(str, one.compiled)),
            percent(one.filled_as_compiled),
        )
        for one in analysis.fillings
    )
