"""The common basis of all steps of a model's candidates: the Kubernetes API, patience, price of a core, and time."""

import collections.abc
import dataclasses
import datetime as dt

from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.order import PatienceOrder
from optimal_tp.cluster.sightings import NodeClaim
from optimal_tp.facts.hardware import cores_held
from optimal_tp.measurement.estimate import duration, usd
from optimal_tp.settings.workload import Price

UNINITIALISED_SECONDS = 600.0
"""A node that bills this long without taking pods is reported, and again after as long."""


def utc_now() -> dt.datetime:
    """Return the time, in UTC."""
    return dt.datetime.now(dt.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterGround:
    """The same for all candidates of a model."""

    controls: Controls
    patience: PatienceOrder
    price: Price | None
    pool: str | None
    """Karpenter's NodePool of the servers; None: nodes are not watched."""
    run_began: dt.datetime
    """Start of the run; another run paid for Jobs that ended before."""
    whole_chips: bool = False
    """True if a server reserves whole chips, whatever its degree."""
    now: collections.abc.Callable[[], dt.datetime] = utc_now

    def seconds_since(self, moment: dt.datetime) -> float:
        """Return how long ago ``moment`` was, at least 0 even if clocks differ a little."""
        return max(0.0, (self.now() - moment).total_seconds())

    def cost_usd(self, degree: int, seconds: float) -> float | None:
        """Return the cost of the cores of a pod of ``degree`` for ``seconds``; None without a price."""
        if self.price is None:
            return None
        return (
            cores_held(degree, whole_chips=self.whole_chips)
            * seconds
            / 3600
            * self.price.usd_per_hour
            / self.price.billed_cores
        )

    def claims(self) -> list[NodeClaim]:
        """Return the pool's nodes; empty if no pool is known. Raises ServerFailed if they cannot be listed."""
        return [] if self.pool is None else self.controls.claims(self.pool)


def spent(seconds: float, dollars: float | None) -> str:
    """Return minutes and dollars: "41 min ($1.22)"."""
    return duration(seconds) if dollars is None else f"{duration(seconds)} ({usd(dollars)})"


def stamp(moment: dt.datetime) -> str:
    """Return ``moment`` in the format of a step."""
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")


def lacking(claims: collections.abc.Iterable[NodeClaim]) -> str:
    """Return what Karpenter still waits for, as the end of a sentence; empty if it does not say."""
    found = next((each for each in claims if not each.is_initialised and each.lacks), None)
    return "" if found is None else f"; Karpenter of the node {found.name}: {found.lacks}"


@dataclasses.dataclass(kw_only=True)
class NodeEye:
    """Reports nodes that bill but take no pods."""

    ground: ClusterGround
    _told: dict[str, dt.datetime] = dataclasses.field(default_factory=dict)

    def lines(self, claims: collections.abc.Iterable[NodeClaim]) -> list[str]:
        """Return a line for each node that has done so for long and was not reported lately."""
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
