"""Remarks on a measurement that only the servers' counters can give."""

import collections.abc
import statistics
import typing

from optimal_tp.measurement.counters.reading import ServerCounts

LEAST_HIT_SHARE = 0.01
"""Least share of prompt tokens from the prefix cache that is worth a remark."""
BUSY_CORES: typing.Final = (0.9, 1.25)
"""CPU cores of the answering process between which it may limit a server: Python runs on one core at a time. Above
the second figure the process computes the model too."""


def total(counts: collections.abc.Iterable[ServerCounts], name: str) -> float | None:
    """Return the sum of the counter ``name``; None where no server has it."""
    values = [value for one in counts if (value := getattr(one.counted, name)) is not None]
    return sum(values) if values else None


def remarks(
    counts: collections.abc.Sequence[ServerCounts], *, are_prompts_alike: bool = False, is_chat: bool = False
) -> collections.abc.Iterator[str]:
    """Yield remarks on ``counts``, of one server or of all servers of a candidate; each follows the servers' name.

    Hits of the prefix cache are remarked on unless prompts repeat (``are_prompts_alike``). Chats share a template.
    """
    preempted = total(counts, "preemptions")
    if preempted:
        times = "once" if preempted == 1 else f"{preempted:,.0f} times"
        yield (
            f"ran out of KV cache {times} and recomputed a request (preemption): allow fewer requests at a time or "
            "give the KV cache more memory"
        )
    hits, queries = total(counts, "prefix_hits"), total(counts, "prefix_queries")
    if hits and queries and hits >= LEAST_HIT_SHARE * queries and not are_prompts_alike:
        why = (
            "; chats begin with the same template"
            if is_chat
            else ", though no two prompts are alike: an earlier load sent them too"
        )
        share = 100 * hits / queries
        yield f"took {hits:,.0f} of {queries:,.0f} prompt tokens ({share:.3g} %) from the prefix cache{why}"
    cores = [used for one in counts if (used := one.process_cores) is not None]
    if cores and BUSY_CORES[0] <= statistics.median(cores) <= BUSY_CORES[1]:
        yield (
            f"used {statistics.median(cores):.2f} CPU cores in the process that answers: Python runs on one core, so "
            "it may limit throughput instead of the accelerator"
        )
