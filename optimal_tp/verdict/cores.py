"""Throughput per core under four denominators, and degrees against each other on equally many cores."""

import dataclasses
import math
import typing

from optimal_tp.facts.hardware import AllocatedCores, BilledCores, LogicalCores, PhysicalCores
from optimal_tp.measurement.run import RunRecord
from optimal_tp.settings.workload import Price
from optimal_tp.verdict.findings import Verdict

PHYSICAL_PER_LOGICAL = 2
"""Trainium2 at its default LNC=2: two physical NeuronCores act as one logical core."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoreFigures:
    """One degree's output tokens per second by each way of counting cores. Each count is a type of its own."""

    degree: int
    tokens_per_second: float
    used: LogicalCores
    physical: PhysicalCores | None
    """None off Trainium2."""
    allocated: AllocatedCores
    billed: BilledCores | None
    """Whole billed units that hold the allocated cores, if nothing else shares them; None without a price."""

    @property
    def per_used(self) -> float:
        """Output tokens per second per logical core used: the verdict's figure."""
        return self.tokens_per_second / self.used

    @property
    def per_physical(self) -> float | None:
        """Output tokens per second per physical core."""
        return None if self.physical is None else self.tokens_per_second / self.physical

    @property
    def per_allocated(self) -> float | None:
        """Output tokens per second per logical core reserved; None where none was."""
        return self.tokens_per_second / self.allocated if self.allocated else None

    @property
    def per_billed(self) -> float | None:
        """Output tokens per second per logical core paid for."""
        return None if self.billed is None else self.tokens_per_second / self.billed


@dataclasses.dataclass(frozen=True, kw_only=True)
class EqualCores:
    """What equally many cores give when filled with servers of one degree."""

    degree: int
    cores: LogicalCores
    servers: int
    tokens_per_second: float
    measured: bool
    """False: one server's figure was multiplied, so what the servers share was not seen."""


def core_figures(record: RunRecord, verdict: Verdict, price: Price | None) -> tuple[CoreFigures, ...]:
    """Return the figures of every degree that has a throughput, ascending."""
    records = {degree.degree: degree for degree in record.degrees}
    figures = []
    for degree in verdict.degrees:
        if degree.tokens_per_second is None:
            continue
        kept = records[degree.degree]
        billed = None
        if price is not None:
            billed = BilledCores(price.billed_cores * math.ceil(max(1, kept.cores_allocated) / price.billed_cores))
        physical = PhysicalCores(PHYSICAL_PER_LOGICAL * kept.cores_used) if record.place == "cluster" else None
        figures.append(
            CoreFigures(
                degree=degree.degree,
                tokens_per_second=degree.tokens_per_second,
                used=LogicalCores(kept.cores_used),
                physical=physical,
                allocated=AllocatedCores(kept.cores_allocated),
                billed=billed,
            )
        )
    return tuple(figures)


def equal_cores(figures: typing.Sequence[CoreFigures]) -> tuple[EqualCores, ...]:
    """Return every degree on as many cores as the largest layout used; empty with fewer than two degrees."""
    if len(figures) < 2:  # noqa: PLR2004 - nothing to hold against each other
        return ()
    most = max(figure.used for figure in figures)
    return tuple(
        EqualCores(
            degree=figure.degree,
            cores=most,
            servers=most // figure.degree,
            tokens_per_second=figure.per_used * (most // figure.degree) * figure.degree,
            measured=figure.used == most,
        )
        for figure in figures
    )
