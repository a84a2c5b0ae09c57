"""Suspended Jobs that the experiment resumes and waits for: fetching a model, compiling for a candidate."""

import dataclasses
import datetime as dt

from optimal_tp.cluster.ground import ClusterGround, lacking, spent, stamp
from optimal_tp.cluster.sightings import Job, NodeClaim, Pod
from optimal_tp.cluster.telling import progress_line, short, telling_line
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import duration
from optimal_tp.measurement.steps import Step, StepGate


@dataclasses.dataclass(kw_only=True)
class StagedJob:
    """One Job on its way to its end. Call ``look`` until it has ended; each look also does the next thing it needs."""

    name: str
    candidate: Candidate | None
    """None: the fetch of the model, which holds no cores."""
    ground: ClusterGround
    state: str = "begins"
    """Its present state, in words."""
    has_ended: bool = False
    step: Step | None = None
    """The step once it has ended; None if it ended before this run, which then did not pay for it."""
    _resumed: bool = False

    def look(self, claims: list[NodeClaim]) -> None:
        """Update its state, and resume it if it is suspended. Raises ServerFailed if Kubernetes does not answer."""
        job = self.ground.controls.job(self.name)
        if job.ending is None and job.is_suspended and not self._resumed:
            self.ground.controls.resume(self.name)
            self._resumed = True
            return
        pods = self.ground.controls.pods_of_job(self.name)
        pod = pods[-1] if pods else None
        began = job.started or self.ground.now()
        if job.ending == "Complete":
            ended = job.ended or self.ground.now()
            self._end(None if ended < self.ground.run_began else self._step(began, pods, None, None))
        elif job.ending == "Failed":
            self._end(self._failed(job, began, pods))
        elif pod is None or pod.scheduled is None:
            self._without_node(began, pods, claims)
        else:
            self._on_node(began, pods, pod.scheduled)

    def _end(self, step: Step | None) -> None:
        self.step, self.has_ended = step, True

    def _without_node(self, began: dt.datetime, pods: list[Pod], claims: list[NodeClaim]) -> None:
        pod = pods[-1] if pods else None
        waited = self.ground.seconds_since(began if pod is None else max(began, pod.created))
        words = "Kubernetes makes no pod for it" if pod is None else pod.lacks or "the scheduler gives no reason"
        reason = short(words) + ("" if self.candidate is None else lacking(claims))
        self.state = "waits for a node"
        if waited < self.ground.patience.capacity_seconds:
            return
        if self.candidate is None:
            self._end(self._step(began, pods, "no-compile", f"{_UNFETCHED}: no node for {duration(waited)}: {reason}"))
        else:
            detail = f"its compile Job had no node for {duration(waited)}: {reason}"
            self._end(self._step(began, pods, "no-capacity", detail))

    def _on_node(self, began: dt.datetime, pods: list[Pod], scheduled: dt.datetime) -> None:
        ran_from = pods[-1].ran_from
        taken = self.ground.seconds_since(scheduled if ran_from is None else ran_from)
        self.state = pods[-1].waits or (self._fetching(pods[-1]) if self.candidate is None else "compiles")
        if taken < self.ground.patience.compile_seconds + _LAST_WORDS_SECONDS:
            return
        gone = spent(taken, self._usd(pods))
        line = telling_line(self.ground.controls.log(pods[-1])) or pods[-1].waits or "its log is empty"
        what = f"{_UNFETCHED}: the download was still running" if self.candidate is None else "it was still compiling"
        self._end(self._step(began, pods, "no-compile", f"{what} after {gone}: {line}"))

    def _fetching(self, pod: Pod) -> str:
        there = progress_line(self.ground.controls.log(pod))
        return "is being fetched" if there is None else f"is being fetched: {there}"

    def _failed(self, job: Job, began: dt.datetime, pods: list[Pod]) -> Step:
        line = telling_line(self.ground.controls.log(pods[-1])) if pods else None
        said = line or (pods[-1].waits or pods[-1].last_exit if pods else None) or job.message or "it left no log"
        ended = job.ended or self.ground.now()
        what = f"{_UNFETCHED}: its Job" if self.candidate is None else "its compile Job"
        if ended < self.ground.run_began:
            again = f"to try again: kubectl delete job {self.name}, then pulumi up --refresh"
            detail = f"{what} had failed before this run: {said}; {again}"
            return dataclasses.replace(self._step(began, pods, "no-compile", detail), usd=None)
        taken = (ended - began).total_seconds()
        return self._step(began, pods, "no-compile", f"{what} failed after {spent(taken, self._usd(pods))}: {said}")

    def _step(self, began: dt.datetime, pods: list[Pod], gate: StepGate | None, detail: str | None) -> Step:
        ran = [(pod.ran_from, pod.ran_until or self.ground.now()) for pod in pods if pod.ran_from is not None]
        return Step(
            candidate=self.candidate,
            what="fetch" if self.candidate is None else "compile",
            began=stamp(began),
            node_seconds=max(0.0, (ran[0][0] - began).total_seconds()) if ran else None,
            seconds=(ran[-1][1] - ran[0][0]).total_seconds() if ran else None,
            usd=self._usd(pods),
            gate=gate,
            detail=detail,
        )

    def _usd(self, pods: list[Pod]) -> float | None:
        """Return the cost of its pods' cores, which a pod holds from getting its node to its container's end."""
        if self.candidate is None:
            return None
        now = self.ground.now()
        held = sum(((pod.ran_until or now) - pod.scheduled).total_seconds() for pod in pods if pod.scheduled)
        return self.ground.cost_usd(self.candidate.degree, held)


_UNFETCHED = "its model was not fetched"
_LAST_WORDS_SECONDS = 60
"""Extra time, because the program in the pod has the same patience and its own last message says more."""
