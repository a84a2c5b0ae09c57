"""What the experiment costs, before it starts: by the hour, as a whole, and how long the budget lasts."""

import dataclasses

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.plan.lineup import Lineup
from optimal_tp.settings.spend import Spend
from optimal_tp.settings.stack_file import ClusterSettings

NODE_LAUNCH_SECONDS = 1200
"""Time for a node to come: Karpenter allows 5 minutes for the launch and 15 for the registration of each try."""


STARTS = 3
"""How often the servers of each candidate start, so that a verdict is not one of a single process's luck."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HourlyCost:
    """An hour's cost in USD."""

    node_usd: float
    nodes: int
    """Neuron nodes that run at the same time."""
    idle_usd: float
    """Without any Neuron node."""

    @property
    def neuron_usd(self) -> float:
        """Of all Neuron nodes."""
        return self.node_usd * self.nodes

    @property
    def now_usd(self) -> float:
        """While the servers run."""
        return self.neuron_usd + self.idle_usd

    def sentence(self) -> str:
        """Return the estimate for people."""
        idle = f"{self.idle_usd:.2f} USD an hour idle (control plane, system nodes, NAT: an estimate)"
        return (
            f"about {self.now_usd:.2f} USD an hour while serving ({self.nodes} x {self.node_usd:g} for Neuron), {idle}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """What the whole experiment is expected to cost, and how long its budget lasts. Durations are hours."""

    cost: HourlyCost
    spend: Spend
    cluster_hours: float
    """Before the first Neuron node."""
    setup_hours: float
    """Neuron nodes compile and servers start."""
    measuring_hours: float
    leaving_hours: float
    """From the stop of the last server until its node is billed no longer."""
    patient_hours: float
    """The longest that set-up and measurement take when nothing hangs: every timeout and budget used up."""
    traffic_usd: float
    """For the images of all Neuron nodes and the weights of all models through the NAT gateway."""
    block_hours: int | None = None
    """Length of the shortest Capacity Block that holds the experiment; None if no node may be reserved."""

    @property
    def hours(self) -> float:
        """Return how long the experiment is expected to take, from the first AWS call until the nodes are gone."""
        return self.cluster_hours + self.setup_hours + self.measuring_hours + self.leaving_hours

    @property
    def usd(self) -> float:
        """Return what the experiment is expected to cost, from the first AWS call until the nodes are gone."""
        serving = self.setup_hours + self.measuring_hours + self.leaving_hours
        return self.cluster_hours * self.cost.idle_usd + serving * self.cost.now_usd + self.traffic_usd

    @property
    def paid_hours(self) -> float:
        """Return how long all Neuron nodes may run until the servers must stop, so that the budget holds."""
        around = self.cluster_hours * self.cost.idle_usd + self.leaving_hours * self.cost.now_usd + self.traffic_usd
        return (self.spend.budget_usd - around) / self.cost.now_usd

    @property
    def stop_after_seconds(self) -> int:
        """Return when the guard stops everything, in whole seconds from the making of its clock."""
        return int(min(self.paid_hours, self.patient_hours) * 3600)

    @property
    def node_life_seconds(self) -> int | None:
        """Return how long a Neuron node lives at most, should the guard fail too; None where servers are kept."""
        return None if self.spend.keep_running else self.stop_after_seconds

    def lines(self) -> list[str]:
        """Return the forecast for people."""
        traffic = f", {self.traffic_usd:.2f} USD for images and weights through NAT" if self.traffic_usd else ""
        expected = (
            f"expected: about {self.usd:.2f} USD of a budget of {self.spend.budget_usd:g} "
            f"({self.setup_hours:.1f} h to compile and start, {self.measuring_hours:.1f} h to measure at most, "
            f"{self.leaving_hours:.1f} h until nodes are gone{traffic})"
        )
        block = [] if self.block_hours is None else [self._block_sentence(self.block_hours)]
        if self.spend.keep_running:
            end = (
                f"keep_running: the servers run on after the verdict. Each hour costs "
                f"{self.cost.now_usd:.2f} USD, and no budget ends it"
            )
        else:
            leaving_usd = self.leaving_hours * self.cost.now_usd
            end = (
                f"stop: servers stop with the verdict, at the latest {self.stop_after_seconds / 3600:.1f} h after the "
                f"first Neuron node can launch; the nodes cost {leaving_usd:.2f} USD more until they are gone"
            )
        return [self.cost.sentence(), expected, *block, end]

    def _block_sentence(self, hours: int) -> str:
        usd = hours * self.cost.neuron_usd
        return (
            f"a Capacity Block for it costs at least {usd:.2f} USD ({hours} h of {self.cost.nodes} x "
            f"{self.cost.node_usd:g} USD an hour), paid in full when you buy it; the budget counts only the hours that "
            "you use"
        )

    def keep_within_budget(self, file: str) -> None:
        """Raise SettingsError where more is expected than the budget has."""
        if self.usd > self.spend.budget_usd:
            rule = f"must cover the expected cost, {self.usd:.2f} USD ({self.cost.sentence()})"
            remedy = "raise it or lower workloads.decision.budget_seconds or the number of nodes"
            budget = self.spend.budget_usd
            problem = Problem(path="spend.budget_usd", value=budget, rule=rule, remedy=remedy, file=file)
            raise SettingsError([problem])


def forecast(
    settings: ClusterSettings,
    plan: Lineup,
    cost: HourlyCost,
    spend: Spend,
    *,
    empty_minutes: int,
    traffic_usd: float = 0.0,
) -> Forecast:
    """Return what is expected; an empty node stays for ``empty_minutes``, ``traffic_usd`` as in Forecast."""
    minutes, rounds = spend.expected_minutes, len(plan.rounds)
    starts = starts_each(settings)
    patience_seconds = settings.serving.start_patience_seconds + NODE_LAUNCH_SECONDS
    measuring_seconds = settings.measuring_seconds
    return Forecast(
        cost=cost,
        spend=spend,
        cluster_hours=minutes.cluster / 60,
        setup_hours=rounds * (minutes.compile + starts * minutes.start) / 60,
        measuring_hours=measuring_seconds / 3600,
        leaving_hours=(empty_minutes + minutes.leave) / 60,
        # One wait for the fetched model, then for each round its compile Jobs and every start of its servers.
        patient_hours=((1 + (1 + starts) * rounds) * patience_seconds + measuring_seconds) / 3600,
        traffic_usd=traffic_usd,
    )


def starts_each(settings: ClusterSettings) -> int:
    """Return how often a candidate's servers start: once where several load generators keep to a clock."""
    return STARTS if settings.loadtest.pods == 1 else 1


def model_lines(settings: ClusterSettings, plan: Lineup, money: Forecast) -> list[str]:
    """Return what each model of a sweep is expected to take, one line a model; nothing for one model alone.

    Where all run at once they are set up together, and none has set-up of its own.
    """
    if len(plan.models) == 1:
        return []
    minutes = money.spend.expected_minutes
    lines = []
    for model in plan.models:
        rounds = 0 if plan.runs_at_once else len(model.plan.rounds)
        setup = rounds * (minutes.compile + starts_each(settings) * minutes.start) / 60
        measuring = model.settings.decision.budget_seconds / 3600
        usd = (setup + measuring) * money.cost.now_usd
        own = f"{setup:.1f} h to compile and start, " if rounds else ""
        lines.append(
            f"{model.settings.model.name}: about {usd:.2f} USD of it ({own}{measuring:.1f} h to measure at most)"
        )
    return lines
