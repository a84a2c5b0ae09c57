"""Start the servers of one candidate, and free cores that an earlier pod has left occupied."""

import collections.abc
import dataclasses
import datetime as dt

from optimal_tp.cluster.ground import ClusterGround, lacking, spent, stamp
from optimal_tp.cluster.sightings import NodeClaim, Pod
from optimal_tp.cluster.telling import left_behind_line, short, telling_line
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import duration, plural
from optimal_tp.measurement.steps import Step, StepGate

DEATHS = 3
"""Most times that a server may end while it starts."""
_LATE_SECONDS = 5.0
"""Largest difference between the clocks of a pod and of the API server."""


@dataclasses.dataclass(kw_only=True)
class Start:
    """One start of a candidate's servers. Call ``look`` until it has ended."""

    candidate: Candidate
    names: tuple[str, ...]
    """Names of the Deployments."""
    ground: ClusterGround
    number: int
    """Number of the start, from 0."""
    before: tuple[Step, ...]
    """The candidate's earlier starts, and the removals in this one."""
    began: dt.datetime | None
    """When the servers were scaled up; None if they may run already."""
    state: str = "begins"
    has_ended: bool = False
    pods: list[Pod] = dataclasses.field(default_factory=list)
    """The pods at the last look."""
    _lost: collections.abc.Set[str | None] = frozenset()
    """Nodes that are being removed."""
    step: Step | None = None
    """The step once it has ended; None if the servers are those of the start before."""

    def look(self, claims: list[NodeClaim], *, healthy: bool) -> Step | None:
        """Update its state; ``healthy``: every URL answers.

        Returns a step that frees cores, if one is needed: remember it, then call ``free``. Raises ServerFailed if
        Kubernetes does not answer.
        """
        self._lost = {each.node for each in claims if f"node {each.name}" in self.removed}
        every = [self._own(self.ground.controls.pods_of_server(name)) for name in self.names]
        self.pods = pods = [pod for of_name in every for pod in of_name]
        if self._is_up(every) and healthy:
            self._up(pods)
            return None
        self.has_ended = False
        for pod in pods:
            if pod.scheduled is not None and not self._goes(pod):
                line = self._left_behind(pod)
                if line is not None:
                    return self._rescue(pod, pods, line, claims)
        self._judge(every, pods, claims)
        return None

    def _own(self, pods: list[Pod]) -> list[Pod]:
        """Return the pods of this start."""
        if self.began is None:
            return pods
        earliest = self.began - dt.timedelta(seconds=_LATE_SECONDS)
        return [pod for pod in pods if pod.created >= earliest]

    @property
    def removed(self) -> tuple[str, ...]:
        """Pods and nodes that were removed in this start."""
        return tuple(each.removed for each in self.before if each.number == self.number and each.removed is not None)

    def _is_up(self, every: list[list[Pod]]) -> bool:
        """Whether each Deployment has a running pod that is not being removed."""
        return all(
            any(pod.ran_from is not None and pod.ran_until is None and not self._goes(pod) for pod in pods)
            for pods in every
        )

    def _goes(self, pod: Pod) -> bool:
        removed = f"pod {pod.name}" in self.removed or (pod.node is not None and pod.node in self._lost)
        return removed or pod.is_leaving or pod.has_failed

    def _up(self, pods: list[Pod]) -> None:
        last = next((each for each in reversed(self.before) if each.removed is None and each.gate is None), None)
        created = max(pod.created for pod in pods if not self._goes(pod))
        self.has_ended, self.step = True, None
        if last is None or created > _end_of(last):
            self.step = self._step(pods, None, None)

    def _judge(self, every: list[list[Pod]], pods: list[Pod], claims: list[NodeClaim]) -> None:
        now, patience = self.ground.now(), self.ground.patience
        self.began = self.began or min((pod.created for pod in pods), default=now)
        deaths = sum(pod.deaths + (pod.has_failed and not pod.deaths) for pod in pods)
        here = [next((pod for pod in reversed(of_name) if not self._goes(pod)), None) for of_name in every]
        homeless = [pod for pod in here if pod is None or pod.scheduled is None]
        if deaths >= DEATHS:
            gone = spent(*self._held(pods))
            self._fail(pods, "no-start", f"its server ended {plural(deaths, 'time')} in {gone}: {self._telling(pods)}")
        elif homeless:
            since = self.began if homeless[0] is None else max(self.began, homeless[0].created)
            self._wait_for_node(homeless[0], self.ground.seconds_since(since), pods, claims)
        else:
            taken = max(self.ground.seconds_since(pod.scheduled) for pod in here if pod and pod.scheduled)
            waits = next((pod.waits for pod in here if pod is not None and pod.waits is not None), None)
            self.state = waits or "loads"
            if taken >= patience.start_seconds:
                gone = spent(taken, self._held(pods)[1])
                self._fail(pods, "no-start", f"its servers were not ready after {gone}: {self._telling(pods)}")

    def _wait_for_node(self, pod: Pod | None, waited: float, pods: list[Pod], claims: list[NodeClaim]) -> None:
        self.state = "waits for a node"
        if waited < self.ground.patience.capacity_seconds:
            return
        words = "Kubernetes makes no pod for it" if pod is None else pod.lacks or "the scheduler gives no reason"
        gate: StepGate = "no-start" if self.number else "no-capacity"
        self._fail(pods, gate, f"its server had no node for {duration(waited)}: {short(words)}{lacking(claims)}")

    def _fail(self, pods: list[Pod], gate: StepGate, detail: str) -> None:
        which = f"at start {self.number + 1} " if self.number else ""
        self.has_ended, self.step = True, self._step(pods, gate, which + detail)

    def _left_behind(self, pod: Pod) -> str | None:
        logs = (self.ground.controls.log(pod), self.ground.controls.log(pod, previous=True) if pod.deaths else "")
        return next((line for log in logs if (line := left_behind_line(log)) is not None), None)

    def _rescue(self, pod: Pod, pods: list[Pod], line: str, claims: list[NodeClaim]) -> Step | None:
        """Return the next step that frees occupied cores; None if nothing is left to try."""
        node = next((each for each in claims if each.node is not None and each.node == pod.node), None)
        if not self.removed:
            target = f"pod {pod.name}"
        elif node is not None and not any(each.startswith("node ") for each in self.removed):
            target = f"node {node.name}"
        else:
            gone = spent(*self._held(pods))
            tried = " and ".join(self.removed)
            self._fail(pods, "no-start", f"cores stayed taken after {gone}, although {tried} was deleted: {line}")
            return None
        found = self._step(pods, None, f"cores were left behind, so the {target} is deleted: {line}")
        found = dataclasses.replace(found, removed=target)
        self.before = (*self.before, found)
        return found

    def _telling(self, pods: collections.abc.Sequence[Pod]) -> str:
        """Return the telling line in the log of the newest pod that has one, else Kubernetes' own message."""
        for pod in reversed(pods):
            for previous in (False, True) if pod.deaths else (False,):
                line = telling_line(self.ground.controls.log(pod, previous=previous))
                if line is not None:
                    return line
        said = next((pod.waits or pod.last_exit for pod in reversed(pods) if pod.waits or pod.last_exit), None)
        return said or "its log is empty"

    def _held(self, pods: collections.abc.Iterable[Pod]) -> tuple[float, float | None]:
        """Return the longest time for which one of ``pods`` held its cores, and the cost of all of them."""
        held = [self.ground.seconds_since(pod.scheduled) for pod in pods if pod.scheduled is not None]
        return max(held, default=0.0), self.ground.cost_usd(self.candidate.degree, sum(held))

    def _step(self, pods: list[Pod], gate: StepGate | None, detail: str | None) -> Step:
        began = self.began or min((pod.created for pod in pods), default=self.ground.now())
        ran = [pod.ran_from for pod in pods if pod.ran_from is not None]
        ready = [pod.ready for pod in pods if pod.ready is not None and not self._goes(pod)]
        until = max(ready) if gate is None and detail is None and len(ready) == len(self.names) else self.ground.now()
        # ``ran_from`` is of a container's last run, so after a death count from the node: earlier runs count too.
        since = min((pod.scheduled for pod in pods if pod.scheduled is not None), default=None)
        first = since if any(pod.deaths for pod in pods) else min(ran, default=None)
        return Step(
            candidate=self.candidate,
            what="start",
            number=self.number,
            began=stamp(began),
            node_seconds=None if first is None else max(0.0, (first - began).total_seconds()),
            seconds=None if first is None else max(0.0, (until - first).total_seconds()),
            usd=self._held(pods)[1],
            gate=gate,
            detail=detail,
        )


def free(
    ground: ClusterGround, target: str, pods: collections.abc.Iterable[Pod], claims: collections.abc.Iterable[NodeClaim]
) -> None:
    """Delete ``target``, a pod or a node, if it still exists. For a node, also delete our pods on it afterwards.

    Karpenter would wait for these pods, which must not be disrupted. Raises ServerFailed if a deletion is refused.
    """
    kind, _, name = target.partition(" ")
    if kind == "pod":
        for pod in pods:
            if pod.name == name and not pod.is_leaving:
                ground.controls.remove_pod(name)
        return
    for claim in claims:
        if claim.name != name:
            continue
        if not claim.is_leaving:
            ground.controls.remove_claim(name)
        for pod in pods:
            if pod.node is not None and pod.node == claim.node and not pod.is_leaving:
                ground.controls.remove_pod(pod.name)


def _end_of(step: Step) -> dt.datetime:
    length = (step.node_seconds or 0.0) + (step.seconds or 0.0)
    return dt.datetime.fromisoformat(step.began) + dt.timedelta(seconds=length)
