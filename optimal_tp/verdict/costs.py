"""What the tokens cost at the price in the settings, and what the experiment itself cost."""

import dataclasses
import math
import typing

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
