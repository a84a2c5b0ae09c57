"""What the Kubernetes API says of pods, Jobs and nodes, as real ones were seen to say it."""

import typing

import pytest

from optimal_tp.cluster.sightings import claim, job, moment, pod

CREATED = "2026-11-24T12:00:00Z"


def made(**parts: typing.Any) -> dict[str, typing.Any]:
    """Return a pod; ``metadata`` is added to its name and time."""
    metadata = {"name": "tp1-a", "creationTimestamp": CREATED, **parts.pop("metadata", {})}
    return {"metadata": metadata, **parts}


def test_a_pod_without_a_node_says_why() -> None:
    """In the scheduler's words; nothing of it has run."""
    lacks = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}
    found = pod(made(status={"phase": "Pending", "conditions": [lacks]}))

    assert (found.lacks, found.scheduled, found.node, found.ran_from, found.deaths) == (
        "0/2 nodes",
        None,
        None,
        None,
        0,
    )


def test_a_pod_that_was_made_just_now_has_no_status() -> None:
    """And is no error."""
    found = pod(made())

    assert (found.created, found.is_leaving, found.has_failed, found.waits) == (moment(CREATED), False, False, None)


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]},
            "ImagePullBackOff: no such image",
        ),
        (
            {
                "initContainerStatuses": [{"state": {"waiting": {"reason": "CreateContainerError"}}}],
                "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}],
            },
            "CreateContainerError",
        ),
        (
            {"phase": "Failed", "message": "The node was low on resource: memory."},
            "The node was low on resource: memory.",
        ),
    ],
    ids=["image", "init", "evicted"],
)
def test_why_a_container_does_not_run(status: dict[str, typing.Any], waits: str) -> None:
    """The first one that waits, with Kubernetes' message where there is one."""
    assert pod(made(status=status)).waits == waits


ENDED = {"exitCode": 137, "reason": "OOMKilled", "startedAt": CREATED, "finishedAt": "2026-11-24T12:05:00Z"}


@pytest.mark.parametrize(
    ("container", "deaths", "until"),
    [
        (
            {"restartCount": 2, "state": {"running": {"startedAt": CREATED}}, "lastState": {"terminated": ENDED}},
            2,
            None,
        ),
        (
            {
                "restartCount": 2,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": ENDED},
            },
            3,
            None,
        ),
        ({"restartCount": 0, "state": {"terminated": ENDED}}, 1, moment("2026-11-24T12:05:00Z")),
    ],
    ids=["runs again", "pauses", "over"],
)
def test_a_container_that_ended_is_counted(container: dict[str, typing.Any], deaths: int, until: object) -> None:
    """Whether it runs again, pauses between two tries, or has ended for good."""
    found = pod(made(status={"containerStatuses": [container]}))

    assert (found.deaths, found.last_exit, found.ran_until) == (deaths, "exit status 137, OOMKilled", until)
    assert found.ran_from == moment(CREATED)


def test_a_pod_that_is_deleted_is_leaving() -> None:
    """Until it is gone."""
    assert pod(made(metadata={"deletionTimestamp": CREATED})).is_leaving


def test_a_jobs_end_is_a_condition_that_holds() -> None:
    """What will be a failure is none before its pods are gone."""
    item: dict[str, typing.Any] = {
        "metadata": {"name": "x"},
        "spec": {"suspend": False},
        "status": {
            "startTime": CREATED,
            "conditions": [{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "False"}],
        },
    }
    before = job(item)
    message = "Job has reached the specified backoff limit"
    item["status"]["conditions"].append(
        {"type": "Failed", "status": "True", "message": message, "lastTransitionTime": "2026-11-24T12:05:00Z"}
    )
    after = job(item)

    assert (before.ending, before.ended, before.started) == (None, None, moment(CREATED))
    assert (after.ending, after.ended, after.message) == ("Failed", moment("2026-11-24T12:05:00Z"), message)


def test_a_node_says_what_it_lacks() -> None:
    """The first of Karpenter's three steps that is not done, with its message."""
    conditions = [
        {"type": "Initialized", "status": "Unknown", "message": "StartupTaint still exists", "reason": "x"},
        {"type": "Launched", "status": "True", "lastTransitionTime": CREATED},
        {"type": "Registered", "status": "True", "lastTransitionTime": CREATED},
    ]
    found = claim({"metadata": {"name": "neuron-a"}, "status": {"nodeName": "ip-1", "conditions": conditions}})

    assert (found.launched, found.is_initialised, found.lacks) == (
        moment(CREATED),
        False,
        "not Initialized: StartupTaint still exists",
    )
    assert (found.node, found.is_leaving) == ("ip-1", False)
