"""What the tokens cost at the price in the settings, and what the experiment itself cost."""

import dataclasses
import math
import typing

from optimal_tp.facts.hardware import AllocatedCores, BilledCores, LogicalCores, PhysicalCores
from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.measurement.run import RunRecord
from optimal_tp.settings.workload import Price
from optimal_tp.verdict.curve import LoadCurve
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.outlook import billed_usd_per_hour


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenCost:
    """US dollars per million output tokens at one degree, billed units filled with servers of that degree."""

    degree: int
    in_blocks: Estimate | None
    """At the concurrency of the blocks."""
    at_saturation: float | None
    """At the highest throughput of the rising load; None without one."""
    at_limit: float | None
    """At the highest throughput within the limits; None where no step is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Money:
    """Costs, with where the price comes from."""

    usd_per_hour: float
    billed_cores: int
    source: str
    date: str
    experiment_usd: float
    """Every billed unit for as long as the run took; set-up and tear-down are not in it."""
    tokens: tuple[TokenCost, ...]


def money(record: RunRecord, verdict: Verdict, curves: typing.Sequence[LoadCurve], price: Price | None) -> Money | None:
    """Return the costs; None without a price."""
    hourly = billed_usd_per_hour(record, price)
    if price is None or hourly is None:
        return None
    by_degree = {curve.degree: curve for curve in curves}
    tokens = []
    for degree in verdict.degrees:
        per_core = degree.tokens_per_second_per_core
        if per_core is None:
            continue
        curve = by_degree.get(degree.degree)
        at_limit = None if curve is None or curve.at_limit is None else curve.at_limit.tokens_per_second_per_core
        saturation = None if curve is None else curve.saturation.tokens_per_second_per_core
        tokens.append(
            TokenCost(
                degree=degree.degree,
                in_blocks=_estimate(price, degree.degree, per_core),
                at_saturation=usd_per_million(price, degree.degree, saturation),
                at_limit=usd_per_million(price, degree.degree, at_limit),
            )
        )
    return Money(
        usd_per_hour=price.usd_per_hour,
        billed_cores=price.billed_cores,
        source=price.source,
        date=price.date,
        experiment_usd=hourly * record.elapsed_seconds / 3600,
        tokens=tuple(tokens),
    )


def usd_per_million(price: Price, degree: int, tokens_per_second_per_core: float | None) -> float | None:
    """Return US dollars per million output tokens; None without a throughput.

    ``usd_per_hour * units / (servers * degree * tokens per second per core * 3600) * 1e6``: the fewest billed units
    that hold a server, filled with as many servers as they hold. Cores left over are paid for all the same.
    """
    if not tokens_per_second_per_core:
        return None
    units = math.ceil(degree / price.billed_cores)
    servers = units * price.billed_cores // degree
    per_hour = servers * degree * tokens_per_second_per_core * 3600
    return price.usd_per_hour * units / per_hour * 1e6


def _estimate(price: Price, degree: int, per_core: Estimate) -> Estimate | None:
    value = usd_per_million(price, degree, per_core.value)
    if value is None:
        return None
    low = usd_per_million(price, degree, per_core.interval.high)
    return Estimate(value=value, interval=Interval(low=low, high=usd_per_million(price, degree, per_core.interval.low)))


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
