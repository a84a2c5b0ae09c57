"""Read pods, Jobs and Karpenter nodes from the Kubernetes API's answers, as far as the experiment waits for them."""

import collections.abc
import dataclasses
import datetime as dt
import typing

Said = collections.abc.Mapping[str, typing.Any]
"""An object of the API, or part of one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pod:
    """One pod; only its first container matters."""

    name: str
    created: dt.datetime
    is_leaving: bool
    """True if it is deleted but not gone yet."""
    has_failed: bool
    """True if it ended for good: its container ended, or its node evicted it."""
    node: str | None
    """Name of its node; None before the scheduler has found one."""
    scheduled: dt.datetime | None
    """When it was assigned to its node."""
    lacks: str | None
    """The scheduler's reason why it has no node."""
    waits: str | None
    """Why its container does not run: its image, a volume, or the pause before a restart."""
    ran_from: dt.datetime | None
    """Start of its container's last run."""
    ran_until: dt.datetime | None
    """End of that run; None while it runs."""
    deaths: int
    """How often its container has ended."""
    last_exit: str | None
    """How it ended last time."""
    ready: dt.datetime | None
    """Since when its readiness probe has succeeded."""


def pod(item: Said) -> Pod:
    """Return the pod in ``item``."""
    metadata, status = item["metadata"], item.get("status", {})
    conditions = _conditions(status)
    container: Said = next(iter(status.get("containerStatuses") or ()), {})
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated")
    run = state.get("running") or state.get("terminated") or last.get("terminated") or {}
    is_down = bool(state.get("terminated") or (state.get("waiting") and last.get("terminated")))
    scheduled = conditions.get("PodScheduled", {})
    return Pod(
        name=metadata["name"],
        created=moment(metadata["creationTimestamp"]),
        is_leaving="deletionTimestamp" in metadata,
        has_failed=status.get("phase") == "Failed",
        node=item.get("spec", {}).get("nodeName"),
        scheduled=_since(scheduled),
        lacks=None if scheduled.get("status") == "True" else _lacks(scheduled.get("message")),
        waits=_waits(status) or (status.get("message") if status.get("phase") == "Failed" else None),
        ran_from=_moment(run.get("startedAt")),
        ran_until=_moment((state.get("terminated") or {}).get("finishedAt")),
        deaths=int(container.get("restartCount", 0)) + is_down,
        last_exit=None if ended is None else _exit(ended),
        ready=_since(conditions.get("Ready", {})),
    )


def _lacks(message: str | None) -> str | None:
    """Return the scheduler's reason without its further attempts: preempting pods, releasing devices."""
    return message and message.partition(" no new claims to deallocate")[0].partition(" preemption:")[0]


def _waits(status: Said) -> str | None:
    every = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    waiting = (each["state"]["waiting"] for each in every if (each.get("state") or {}).get("waiting"))
    found = next(((one.get("reason"), one.get("message")) for one in waiting), (None, None))
    return ": ".join(filter(None, found)) or None


def _exit(ended: Said) -> str:
    reason = ended.get("reason")
    return f"exit status {ended.get('exitCode')}" + ("" if reason in (None, "Error", "Completed") else f", {reason}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One Job."""

    name: str
    is_suspended: bool
    started: dt.datetime | None
    """When it was last resumed; None before the first time."""
    ending: typing.Literal["Complete", "Failed"] | None
    ended: dt.datetime | None
    message: str
    """Why it failed, in Kubernetes' words."""
    annotations: Said


def job(item: Said) -> Job:
    """Return the Job in ``item``."""
    status = item.get("status", {})
    ends: tuple[typing.Literal["Complete", "Failed"], ...] = ("Complete", "Failed")
    found = {kind: one for kind, one in _conditions(status).items() if one.get("status") == "True"}
    ending = next((kind for kind in ends if kind in found), None)
    last = found.get(ending or "", {})
    return Job(
        name=item["metadata"]["name"],
        is_suspended=bool(item.get("spec", {}).get("suspend")),
        started=_moment(status.get("startTime")),
        ending=ending,
        ended=_moment(status.get("completionTime") or last.get("lastTransitionTime")),
        message=str(last.get("message", "")),
        annotations=item["metadata"].get("annotations") or {},
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeClaim:
    """One NodeClaim: a node that Karpenter has requested."""

    name: str
    node: str | None
    """Name of its node once that has joined the cluster."""
    is_leaving: bool
    launched: dt.datetime | None
    """When its instance was launched, which bills from then on."""
    is_initialised: bool
    """Whether it is initialised. Before that it takes no pods, and Karpenter never removes it by itself."""
    lacks: str
    """The condition that Karpenter still waits for, in its words; empty if none."""


def claim(item: Said) -> NodeClaim:
    """Return the NodeClaim in ``item``."""
    status = item.get("status", {})
    conditions = _conditions(status)
    steps = [(kind, conditions[kind]) for kind in ("Launched", "Registered", "Initialized") if kind in conditions]
    open_step = next(((kind, one) for kind, one in steps if one.get("status") != "True"), None)
    return NodeClaim(
        name=item["metadata"]["name"],
        node=status.get("nodeName"),
        is_leaving="deletionTimestamp" in item["metadata"],
        launched=_since(conditions.get("Launched", {})),
        is_initialised=conditions.get("Initialized", {}).get("status") == "True",
        lacks=""
        if open_step is None
        else ": ".join(
            filter(None, (f"not {open_step[0]}", open_step[1].get("message") or open_step[1].get("reason")))
        ),
    )


def _conditions(status: Said) -> dict[str, Said]:
    return {one["type"]: one for one in status.get("conditions") or ()}


def _since(condition: Said) -> dt.datetime | None:
    """Return since when ``condition`` has held; None if it does not hold."""
    return _moment(condition.get("lastTransitionTime")) if condition.get("status") == "True" else None


def moment(words: str) -> dt.datetime:
    """Return the moment in ``words``, RFC 3339."""
    return dt.datetime.fromisoformat(words)


def _moment(words: str | None) -> dt.datetime | None:
    return None if words is None else moment(words)
