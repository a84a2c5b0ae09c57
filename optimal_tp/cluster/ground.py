"""What every step of a model's candidates stands on: whom it asks, how patient it is, what a core costs, the time."""

import collections.abc
import dataclasses
import datetime as dt

from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.order import PatienceOrder
from optimal_tp.cluster.sightings import Claim
from optimal_tp.facts.hardware import cores_held
from optimal_tp.measurement.estimate import duration, usd
from optimal_tp.settings.workload import Price

UNINITIALISED_SECONDS = 600.0
"""A node that bills for so long without taking pods is told of, and again after so long."""


def utc_now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ground:
    """The same for all candidates of a model."""

    controls: Controls
    patience: PatienceOrder
    price: Price | None
    pool: str | None
    """Karpenter's NodePool of the servers; None where no node is looked at."""
    run_began: dt.datetime
    """A Job that ended before it was paid for by another run."""
    whole_chips: bool = False
    """True if a server keeps whole chips from others, whatever its degree."""
    now: collections.abc.Callable[[], dt.datetime] = utc_now

    def seconds_since(self, moment: dt.datetime) -> float:
        """Return how long ago ``moment`` was; clocks that differ a little make it no less than 0."""
        return max(0.0, (self.now() - moment).total_seconds())

    def cost_usd(self, degree: int, seconds: float) -> float | None:
        """Return what the cores of a pod of ``degree`` cost for so long; None without a price."""
        if self.price is None:
            return None
        return (
            cores_held(degree, whole_chips=self.whole_chips)
            * seconds
            / 3600
            * self.price.usd_per_hour
            / self.price.billed_cores
        )

    def claims(self) -> list[Claim]:
        """Return the pool's nodes; none where no pool is known. Raises ServerFailed where nobody tells."""
        return [] if self.pool is None else self.controls.claims(self.pool)


def spent(seconds: float, dollars: float | None) -> str:
    """Return minutes and dollars: "41 min ($1.22)"."""
    return duration(seconds) if dollars is None else f"{duration(seconds)} ({usd(dollars)})"


def stamp(moment: dt.datetime) -> str:
    """Return ``moment`` as a step has it."""
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")


def lacking(claims: collections.abc.Iterable[Claim]) -> str:
    """Return what Karpenter still waits for, as an ending of a sentence; empty where it says nothing."""
    found = next((each for each in claims if not each.is_initialised and each.lacks), None)
    return "" if found is None else f"; Karpenter of the node {found.name}: {found.lacks}"


@dataclasses.dataclass(kw_only=True)
class NodeEye:
    """Tells of nodes that bill and take no pods."""

    ground: Ground
    _told: dict[str, dt.datetime] = dataclasses.field(default_factory=dict)

    def lines(self, claims: collections.abc.Iterable[Claim]) -> list[str]:
        """Return a line for each node that has been so for long, and of which nothing was told lately."""
        now, found = self.ground.now(), []
        for each in claims:
            if each.launched is None or each.is_initialised:
                continue
            silent = self._told.get(each.name, each.launched)
            if (now - silent).total_seconds() < UNINITIALISED_SECONDS:
                continue
            self._told[each.name] = now
            found.append(
                f"the node {each.name} was launched {duration(self.ground.seconds_since(each.launched))} ago and bills "
                f"but takes no pods: {each.lacks or 'Karpenter gives no reason'}"
            )
        return found
