"""The batches that memory decides: powers of four up to what the KV cache holds beside the weights."""

import collections.abc

from optimal_tp.settings.batches import MOST
from optimal_tp.settings.workload import WorkloadSettings


def powers_of_four(most: int) -> tuple[int, ...]:
    """Return 1, 4, 16 and so on up to ``most``, at least 1."""
    found = [1]
    while 4 * found[-1] <= min(most, MOST):
        found.append(4 * found[-1])
    return tuple(found)


def decided(settings: WorkloadSettings, sequences: collections.abc.Callable[[int], int]) -> WorkloadSettings:
    """Return ``settings`` with numbers in the place of ``auto``; ``sequences``: how many a degree's memory holds."""
    if settings.model.max_num_seqs != "auto":
        return settings
    batches = {degree: powers_of_four(sequences(degree)) for degree in settings.degrees}
    return settings.model_copy(update={"model": settings.model.model_copy(update={"max_num_seqs": batches})})
