"""A namespace that lives by a clock of its own: Jobs, servers, pods and nodes that take their time, fail and leave."""

import asyncio
import collections.abc
import dataclasses
import datetime as dt
import pathlib
import re
import typing
import urllib.parse

from optimal_tp.errors import ServerFailed
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.steps import Step, What
from optimal_tp.pods.kubernetes import Namespace, NotThere

NOON = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
LEFT_BEHIND = "2026-11-24 ERROR  TDRV:nrt_allocate_neuron_cores  NRT_RESOURCE: cores are taken"
_BACKOFF_SECONDS = 10


@dataclasses.dataclass(kw_only=True)
class Script:
    """What becomes of one pod, in seconds."""

    node: float | None = 60
    """Until it has a node; None never."""
    runs: float | None = 600
    """Until its container ends, or until it is ready where it serves; None never."""
    dies: int = 0
    """So often its container ends before."""
    fails: bool = False
    log: str = "loading\n"


@dataclasses.dataclass(kw_only=True)
class LivePod:
    """One pod."""

    name: str
    label: tuple[str, str]
    created: dt.datetime
    script: Script
    serves: bool
    node: str
    leaves: dt.datetime | None = None

    def scheduled(self) -> dt.datetime | None:
        """Return when it has its node."""
        return None if self.script.node is None else self.created + dt.timedelta(seconds=self.script.node)

    def item(self, now: dt.datetime) -> dict[str, typing.Any]:
        """Return it as Kubernetes tells of it."""
        metadata: dict[str, typing.Any] = {"name": self.name, "creationTimestamp": self.created.isoformat()}
        if self.leaves is not None:
            metadata["deletionTimestamp"] = self.leaves.isoformat()
        scheduled = self.scheduled()
        if scheduled is None or now < scheduled:
            lacks = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient"}
            return {"metadata": metadata, "spec": {}, "status": {"phase": "Pending", "conditions": [lacks]}}
        conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": scheduled.isoformat()}]
        container, phase = self._container(scheduled, now)
        if self.is_ready(now):
            since = scheduled + dt.timedelta(seconds=self._cycle() * self.script.dies + (self.script.runs or 0))
            conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": since.isoformat()})
        return {
            "metadata": metadata,
            "spec": {"nodeName": self.node},
            "status": {"phase": phase, "conditions": conditions, "containerStatuses": [container]},
        }

    def _cycle(self) -> float:
        return 100 + _BACKOFF_SECONDS

    def _container(self, scheduled: dt.datetime, now: dt.datetime) -> tuple[dict[str, typing.Any], str]:
        seconds = (now - scheduled).total_seconds()
        if self.serves:
            run = min(int(seconds // self._cycle()), self.script.dies)
            start = scheduled + dt.timedelta(seconds=run * self._cycle())
            ended = {"exitCode": 1, "reason": "Error", "startedAt": start.isoformat(), "finishedAt": start.isoformat()}
            last = {"terminated": ended} if run else {}
            if run < self.script.dies and seconds - run * self._cycle() >= 100:
                waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
                return {"restartCount": run, "state": waiting, "lastState": {"terminated": ended}}, "Running"
            return {
                "restartCount": run,
                "state": {"running": {"startedAt": start.isoformat()}},
                "lastState": last,
            }, "Running"
        if self.has_ended(now):
            ends = scheduled + dt.timedelta(seconds=self.script.runs or 0)
            ended = {
                "exitCode": int(self.script.fails),
                "startedAt": scheduled.isoformat(),
                "finishedAt": ends.isoformat(),
            }
            state = {"terminated": ended}
            return {"restartCount": 0, "state": state}, "Failed" if self.script.fails else "Succeeded"
        return {"restartCount": 0, "state": {"running": {"startedAt": scheduled.isoformat()}}}, "Running"

    def has_ended(self, now: dt.datetime) -> bool:
        """Whether the container of a Job's pod has."""
        scheduled, runs = self.scheduled(), self.script.runs
        return scheduled is not None and runs is not None and now >= scheduled + dt.timedelta(seconds=runs)

    def is_ready(self, now: dt.datetime) -> bool:
        """Whether a server's is."""
        scheduled, runs = self.scheduled(), self.script.runs
        if not self.serves or scheduled is None or runs is None or self.leaves is not None:
            return False
        return now >= scheduled + dt.timedelta(seconds=self._cycle() * self.script.dies + runs)


@dataclasses.dataclass(kw_only=True)
class LiveJob:
    """One Job that stands suspended."""

    script: Script
    suspended: bool = True
    started: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiveCluster(Namespace):
    """What is asked of it, it does. Not thread-safe: one conductor asks at a time."""

    url: str = "http://sim"
    namespace: str = "optimal-tp"
    token_file: pathlib.Path = pathlib.Path("token")
    certificate: pathlib.Path | None = None
    jobs: dict[str, LiveJob] = dataclasses.field(default_factory=dict)
    servers: dict[str, list[Script]] = dataclasses.field(default_factory=dict)
    """Scripts of each Deployment's pods, one after the other, the last for ever."""
    claims: dict[str, dict[str, typing.Any]] = dataclasses.field(default_factory=dict)
    replicas: dict[str, int] = dataclasses.field(default_factory=dict)
    pods: list[LivePod] = dataclasses.field(default_factory=list)
    acts: list[str] = dataclasses.field(default_factory=list)
    """Everything that was changed, in order."""
    time: list[dt.datetime] = dataclasses.field(default_factory=lambda: [NOON])
    silent: set[str] = dataclasses.field(default_factory=set)
    """Words in what is asked; what has one of them is refused."""

    def now(self) -> dt.datetime:
        """Return the cluster's time."""
        return self.time[0]

    async def wait(self, stop: asyncio.Event, seconds: float) -> None:
        """Let the time go on."""
        self.time[0] += dt.timedelta(seconds=seconds)
        await asyncio.sleep(0)
        if self.now() > NOON + dt.timedelta(days=2):
            stop.set()

    async def healthy(self, url: str) -> bool:
        """Whether a pod behind ``url`` is ready."""
        name = urllib.parse.urlsplit(url).hostname
        return any(pod.is_ready(self.now()) for pod in self.pods if pod.label == ("app", name))

    def _send(
        self, doing: str, path: str, method: str, patch: collections.abc.Mapping[str, object] | None = None
    ) -> str:
        raise AssertionError(f"{method} {path} {doing} {patch}")

    def _refuse(self, doing: str) -> None:
        if any(word in doing for word in self.silent):
            raise ServerFailed(f"the Kubernetes API did not {doing}: 503 for now")

    def ask(
        self, doing: str, group: str, path: str, *, patch: collections.abc.Mapping[str, object] | None = None
    ) -> dict[str, typing.Any]:
        """Answer."""
        self._refuse(doing)
        spec = typing.cast("dict[str, typing.Any]", {} if patch is None else patch["spec"])
        if group == "batch/v1":
            return self._job(path.removeprefix("jobs/"), spec)
        if group == "apps/v1":
            return self._scale(path.split("/")[1], spec)
        self._tick()
        (asked,) = urllib.parse.parse_qs(path.partition("?")[2]).get("labelSelector", [""])
        label, _, value = asked.partition("=")
        return {"items": [pod.item(self.now()) for pod in self.pods if not asked or pod.label == (label, value)]}

    def _job(self, name: str, spec: dict[str, typing.Any]) -> dict[str, typing.Any]:
        if name not in self.jobs:
            raise NotThere(f"the Kubernetes API did not tell of {name}: 404")
        job = self.jobs[name]
        label = ("batch.kubernetes.io/job-name", name)
        if "suspend" in spec:
            job.suspended = spec["suspend"]
            job.started = None if job.suspended else self.now()
            self.pods[:] = [pod for pod in self.pods if pod.label != label]
            if not job.suspended:
                self._make(name, label, job.script, serves=False)
            self.acts.append(f"{'suspend' if spec['suspend'] else 'resume'} {name}")
        status: dict[str, typing.Any] = {} if job.started is None else {"startTime": job.started.isoformat()}
        ended = next((pod for pod in self.pods if pod.label == label and pod.has_ended(self.now())), None)
        if ended is not None:
            scheduled = typing.cast("dt.datetime", ended.scheduled())
            when = (scheduled + dt.timedelta(seconds=job.script.runs or 0)).isoformat()
            kind = "Failed" if job.script.fails else "Complete"
            status["conditions"] = [{"type": kind, "status": "True", "lastTransitionTime": when}]
        return {"metadata": {"name": name}, "spec": {"suspend": job.suspended}, "status": status}

    def _scale(self, name: str, spec: dict[str, typing.Any]) -> dict[str, typing.Any]:
        if "replicas" not in spec:
            return {"spec": {"replicas": self.replicas.get(name, 0)}}
        count = spec["replicas"]
        was, self.replicas[name] = self.replicas.get(name, 0), count
        self._tick()
        if was != count:
            self.acts.append(f"scale {name} to {count}")
        return {}

    def _tick(self) -> None:
        """Do what the Deployments' controllers do."""
        for pod in [pod for pod in self.pods if pod.serves]:
            if not self.replicas.get(pod.label[1]) and pod.leaves is None:
                pod.leaves = self.now()
            if pod.leaves is not None and self.now() >= pod.leaves + dt.timedelta(seconds=20):
                self.pods.remove(pod)
        for name, count in self.replicas.items():
            label = ("app", name)
            if count and not any(pod.label == label for pod in self.pods):
                scripts = self.servers[name]
                script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
                self._make(name, label, script, serves=True)

    def _make(self, name: str, label: tuple[str, str], script: Script, *, serves: bool) -> None:
        numbers = [int(re.sub(r"\D", "", act) or 0) for act in self.acts if act.startswith(f"pod of {name} ")]
        number = len(numbers)
        self.pods.append(
            LivePod(
                name=f"{name}-{number}",
                label=label,
                created=self.now(),
                script=script,
                serves=serves,
                node=next(iter(self.claims), "node-a") + "-host",
            )
        )
        self.acts.append(f"pod of {name} {number}")

    def ask_cluster(self, doing: str, path: str) -> dict[str, typing.Any]:
        """Answer with the nodes."""
        self._refuse(doing)
        assert path.startswith("karpenter.sh/v1/nodeclaims?")
        return {"items": list(self.claims.values())}

    def read(self, doing: str, path: str) -> str:
        """Return a log."""
        self._refuse(doing)
        name = path.removeprefix("pods/").partition("/")[0]
        pod = next(pod for pod in self.pods if pod.name == name)
        if (pod.scheduled() or self.now()) >= self.now():
            raise ServerFailed("the container is waiting to start")
        return pod.script.log

    def remove(self, doing: str, group: str, path: str) -> None:
        """Delete a pod."""
        self._refuse(doing)
        assert group == "v1"
        name = path.removeprefix("pods/")
        for pod in self.pods:
            if pod.name == name:
                pod.leaves = self.now()
        self.acts.append(f"delete {name}")

    def remove_from_cluster(self, doing: str, path: str) -> None:
        """Delete a node and what is on it, at once."""
        self._refuse(doing)
        name = path.rpartition("/")[2]
        self.claims.pop(name, None)
        for pod in self.pods:
            if pod.node == f"{name}-host":
                pod.leaves = self.now()
        self.acts.append(f"give back {name}")


def node(
    name: str, *, launched: dt.datetime = NOON, initialised: bool = True, message: str = ""
) -> dict[str, typing.Any]:
    """Return a NodeClaim."""
    since = launched.isoformat()
    conditions = [
        {"type": "Launched", "status": "True", "lastTransitionTime": since},
        {"type": "Registered", "status": "True", "lastTransitionTime": since},
        {
            "type": "Initialized",
            "status": "True" if initialised else "Unknown",
            "message": message,
            "lastTransitionTime": since,
        },
    ]
    return {"metadata": {"name": name}, "status": {"nodeName": f"{name}-host", "conditions": conditions}}


def step(candidate: Candidate | None, what: What, **changes: typing.Any) -> Step:
    """Return a step that ended well after 11 minutes, one of them without a node."""
    known: dict[str, typing.Any] = {
        "candidate": candidate,
        "what": what,
        "began": NOON.isoformat(),
        "node_seconds": 60.0,
        "seconds": 600.0,
        "usd": 0.15,
    }
    gate = changes.get("gate")
    return Step(**known | {"detail": None if gate is None else "its log's line"} | changes)
