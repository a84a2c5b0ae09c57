"""What the tokens cost at the price in the settings, and what the experiment itself cost."""

import dataclasses
import math
import typing

from optimal_tp.facts.candidates import CandidateRow
from optimal_tp.facts.hardware import (
    LOGICAL_CORES_PER_CHIP,
    PHYSICAL_CORES_PER_CHIP,
    AllocatedCores,
    BilledCores,
    LogicalCores,
    PhysicalCores,
)
from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.measurement.run import DegreeRecord, RunRecord
from optimal_tp.settings.workload import Price
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.outlook import billed_usd_per_hour


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenCost(CandidateRow):
    """US dollars per million output tokens of one candidate, with the billed units full of its servers."""

    in_blocks: Estimate | None
    """At the load of the blocks: near the candidate's capacity."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Money:
    """Costs, and the source of the price."""

    usd_per_hour: float
    billed_cores: int
    source: str
    date: str
    experiment_usd: float
    """Cost of every billed unit for the length of the run, without set-up and tear-down."""
    tokens: tuple[TokenCost, ...]


def money(record: RunRecord, verdict: Verdict, price: Price | None) -> Money | None:
    """Return the costs; None without a price."""
    hourly = billed_usd_per_hour(record, price)
    if price is None or hourly is None:
        return None
    cores = {each.candidate: cores_of_server(each) for each in record.degrees}
    return Money(
        usd_per_hour=price.usd_per_hour,
        billed_cores=price.billed_cores,
        source=price.source,
        date=price.date,
        experiment_usd=hourly * record.elapsed_seconds / 3600,
        tokens=tuple(
            TokenCost(
                degree=each.degree,
                max_num_seqs=each.max_num_seqs,
                in_blocks=_estimate(price, cores[each.candidate], each.tokens_per_second_per_core),
            )
            for each in verdict.at_one_point
            if each.tokens_per_second_per_core is not None
        ),
    )


def cores_of_server(record: DegreeRecord) -> int:
    """Return the logical cores that one server of a candidate occupies."""
    return max(record.degree, record.cores_used // max(1, len(record.urls)))


def usd_per_million(price: Price, cores: int, tokens_per_second_per_core: float | None) -> float | None:
    """Return US dollars per million output tokens of servers with ``cores`` each; None without a throughput.

    ``usd_per_hour * units / (servers * cores * tokens per second per core * 3600) * 1e6``: the fewest billed units
    that hold a server, filled with as many servers as they hold. Cores left over are paid for too.
    """
    if not tokens_per_second_per_core:
        return None
    units = math.ceil(cores / price.billed_cores)
    servers = units * price.billed_cores // cores
    per_hour = servers * cores * tokens_per_second_per_core * 3600
    return price.usd_per_hour * units / per_hour * 1e6


def _estimate(price: Price, cores: int, per_core: Estimate | None) -> Estimate | None:
    if per_core is None:
        return None
    value = usd_per_million(price, cores, per_core.value)
    if value is None:
        return None
    low = usd_per_million(price, cores, per_core.interval.high)
    return Estimate(value=value, interval=Interval(low=low, high=usd_per_million(price, cores, per_core.interval.low)))


PHYSICAL_PER_LOGICAL = PHYSICAL_CORES_PER_CHIP // LOGICAL_CORES_PER_CHIP
"""Trainium2 at its default LNC=2: two physical NeuronCores act as one logical core."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoreFigures(CandidateRow):
    """One degree's output tokens per second by each way of counting cores. Each count is a type of its own."""

    tokens_per_second: float
    used: LogicalCores
    of_server: LogicalCores
    """Cores that one server occupies."""
    physical: PhysicalCores | None
    """None for other hardware than Trainium2."""
    allocated: AllocatedCores
    billed: BilledCores | None
    """Cores of the whole billed units that hold the allocated cores, if nothing else uses them; None without a
    price."""

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
class EqualCores(CandidateRow):
    """The throughput of equally many cores, full of servers of one degree."""

    cores: LogicalCores
    servers: int
    tokens_per_second: float
    measured: bool
    """False where one server's figure was multiplied: how servers slow each other down was not measured."""


def core_figures(record: RunRecord, verdict: Verdict, price: Price | None) -> tuple[CoreFigures, ...]:
    """Return the figures of every degree that has a throughput, ascending."""
    records = {each.candidate: each for each in record.degrees}
    figures = []
    for each in verdict.degrees:
        per_core = each.tokens_per_second_per_core
        if per_core is None:
            continue
        kept = records[each.candidate]
        billed = None
        if price is not None:
            billed = BilledCores(price.billed_cores * math.ceil(max(1, kept.cores_allocated) / price.billed_cores))
        physical = PhysicalCores(PHYSICAL_PER_LOGICAL * kept.cores_used) if record.place == "cluster" else None
        figures.append(
            CoreFigures(
                degree=each.degree,
                max_num_seqs=each.max_num_seqs,
                tokens_per_second=per_core.value * kept.cores_used,
                used=LogicalCores(kept.cores_used),
                of_server=LogicalCores(cores_of_server(kept)),
                physical=physical,
                allocated=AllocatedCores(kept.cores_allocated),
                billed=billed,
            )
        )
    return tuple(figures)


def equal_cores(figures: typing.Sequence[CoreFigures]) -> tuple[EqualCores, ...]:
    """Return each of ``figures`` for as many cores as the largest layout used; empty with fewer than two."""
    if len(figures) < 2:  # noqa: PLR2004 - nothing to compare
        return ()
    most = max(figure.used for figure in figures)
    return tuple(
        EqualCores(
            degree=figure.degree,
            max_num_seqs=figure.max_num_seqs,
            cores=most,
            servers=most // figure.of_server,
            tokens_per_second=figure.per_used * (most // figure.of_server) * figure.of_server,
            measured=figure.used == most,
        )
        for figure in figures
    )
