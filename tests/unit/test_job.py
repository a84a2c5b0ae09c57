"""An Indexed Job's pods: what the line and Kubernetes say of them, and that all find the same name and start."""

import argparse
import asyncio
import collections.abc
import datetime as dt
import json
import pathlib
import typing

import pytest

from optimal_tp.cli.share import asked, configure
from optimal_tp.cluster import job
from optimal_tp.cluster.clocks import clock_error_ms, machine
from optimal_tp.cluster.order import PodsOrder
from optimal_tp.errors import Problem, ServerFailed, SettingsError
from optimal_tp.experiment.planned import planned_origin
from optimal_tp.measurement.run import Part
from optimal_tp.measurement.steps import encode_steps
from optimal_tp.pods.kubernetes import Namespace
from tests.fakes_candidates import TP1, TP2
from tests.fakes_cluster_life import step
from tests.fakes_http import Answering, listening
from tests.fakes_samples import whole

JOB: dict[str, typing.Any] = {
    "metadata": {
        "name": "loadgen",
        "annotations": {
            job.RUN: "20260701T115000Z-abcd",
            job.STEPS: encode_steps((step(TP1, "compile"), step(TP2, "start", gate="no-start"))),
        },
    },
    "status": {"startTime": "2026-07-01T12:00:00Z", "active": 2},
}


class Api(Answering):
    """Tells of Jobs: one answer after another, the last for ever."""

    answers: typing.ClassVar[list[tuple[int, object]]] = []
    paths: typing.ClassVar[list[str]] = []

    def answer(self, _: str) -> None:
        """Answer."""
        self.paths.append(self.path)
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.tell(status, body.encode() if isinstance(body, str) else json.dumps(body).encode())


@pytest.fixture
def namespace(tmp_path: pathlib.Path) -> collections.abc.Iterator[Namespace]:
    """Return a namespace whose API answers on loopback."""
    Api.answers[:], Api.paths[:] = [(200, JOB)], []
    (tmp_path / "token").write_text("secret")
    with listening(Api) as url:
        yield Namespace(url=url, namespace="optimal-tp", token_file=tmp_path / "token", certificate=None)


def options(*words: str, asked: PodsOrder | None = None, environment: dict[str, str] | None = None) -> job.PodOptions:
    """Return what ``asked`` and ``words`` say. Raises SettingsError with what is wrong in them."""
    parser = argparse.ArgumentParser()
    job.configure(parser)
    problems: list[Problem] = []
    found = job.pod_options(parser.parse_args(list(words)), asked, environment or {}, problems)
    if problems:
        raise SettingsError(problems)
    return found


def of_job(*words: str, count: int = 2, start_after_seconds: float = 0) -> job.PodOptions:
    """Return what a pod of the Job's order knows."""
    asked = PodsOrder(count=count, job="loadgen", start_after_seconds=start_after_seconds)
    return options(*words, asked=asked)


def test_kubernetes_numbers_the_pods() -> None:
    """The completion index of an Indexed Job is the pod's number; a stated one goes first."""
    asked, environment = PodsOrder(count=3, job="loadgen", start_after_seconds=0), {"JOB_COMPLETION_INDEX": "2"}

    assert options(asked=asked, environment=environment).pod == 2
    assert options("--pod", "0", asked=asked, environment=environment).pod == 0


def test_the_start_is_the_jobs_and_the_name_follows(namespace: Namespace) -> None:
    """All pods read one Job, so they find one start, so many seconds after the Job's own, one name and its words."""
    pods = [of_job("--pod", pod, start_after_seconds=300) for pod in ("0", "1")]
    found = [job.common(pod, "settings", lambda: namespace) for pod in pods]

    assert found[0] == found[1]
    assert found[0].start == "2026-07-01T12:05:00+00:00"
    assert found[0].run == "20260701T115000Z-abcd"
    assert [(each.candidate, each.gate) for each in found[0].steps] == [(TP1, None), (TP2, "no-start")]
    assert Api.paths == ["/apis/batch/v1/namespaces/optimal-tp/jobs/loadgen"] * 2


def test_a_job_that_nobody_conducted_is_refused(namespace: Namespace) -> None:
    """Resumed by hand it says neither which run it is of nor which servers there are."""
    Api.answers[:] = [(200, {**JOB, "metadata": {"name": "loadgen"}})]

    sentence = (
        f"the Job loadgen must name its run ('{job.RUN}'), because only the conductor may resume it; delete the Job "
        f"and run `pulumi up --refresh`"
    )
    with pytest.raises(ServerFailed, match=whole(sentence)):
        job.common(of_job("--pod", "0"), "", lambda: namespace)


def test_a_stated_start_needs_no_kubernetes() -> None:
    """Elsewhere the start is on the line; name and part follow from it and the settings."""
    line = options("--pods", "2", "--pod", "1", "--starts-at", "2026-07-01T14:00:00+02:00")

    def nowhere() -> Namespace:
        raise AssertionError

    known = job.common(line, "settings", nowhere)
    part = line.part(known)

    assert (known.start, part.start) == ("2026-07-01T12:00:00+00:00",) * 2
    assert (part.pod, part.pods, part.machine) == (1, 2, machine())
    assert job.common(line, "others", nowhere).run != known.run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--pods", "2", "--pod", "2", "--starts-at", "2026-07-01T12:00:00Z"),
            (
                "--pod: must number this process, from 0, below --pods (2) (got 2); add --pod or set "
                "JOB_COMPLETION_INDEX"
            ),
        ),
        (
            ("--pods", "2", "--starts-at", "2026-07-01T12:00:00Z"),
            (
                "--pod: must number this process, from 0, below --pods (2) (not set); add --pod or set "
                "JOB_COMPLETION_INDEX"
            ),
        ),
        (
            ("--pod", "0", "--starts-at", "2026-07-01T12:00:00Z"),
            "--pods: must be set: the number of processes that share the load (not set); add --pods 2",
        ),
        (
            ("--pods", "2", "--pod", "0"),
            "--starts-at: must be a time with its zone (not set); write it as 2026-07-01T12:00:00+00:00",
        ),
        (
            ("--pods", "2", "--pod", "0", "--starts-at", "2026-07-01T12:00:00"),
            (
                "--starts-at: must be a time with its zone (got '2026-07-01T12:00:00'); write it as "
                "2026-07-01T12:00:00+00:00"
            ),
        ),
        (
            ("--pods", "2", "--after", "--starts-at", "2026-07-01T12:00:00Z"),
            (
                "--after: must go with --order, because it waits for that Job (got true); "
                "add --order FILE or remove --after"
            ),
        ),
    ],
    ids=["beyond", "no number", "how many", "no start", "no zone", "no job"],
)
def test_a_wrong_line_is_refused(words: tuple[str, ...], sentence: str) -> None:
    """Before anything is asked of a server."""
    with pytest.raises(SettingsError, match=whole(sentence)):
        options(*words)


def test_a_suspended_job_has_no_start(namespace: Namespace) -> None:
    """The sentence says why nothing begins."""
    Api.answers[:] = [(200, {"metadata": {"name": "loadgen"}, "status": {}})]

    sentence = (
        "the Job loadgen must have a start time: it is suspended, as the guard does when the budget is spent; set "
        "another loadtest.run to measure again"
    )
    with pytest.raises(ServerFailed, match=whole(sentence)):
        job.common(of_job("--pod", "0"), "", lambda: namespace)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (403, "forbidden"),
            "the Kubernetes API did not tell of the Job loadgen: 403 forbidden; `pulumi up` restores its rights",
        ),
        (
            (200, "[]"),
            (
                "the Kubernetes API did not tell of the Job loadgen: the answer must be a JSON object (got []); "
                "check for a proxy"
            ),
        ),
    ],
    ids=["refused", "nonsense"],
)
def test_what_kubernetes_refuses_is_said(namespace: Namespace, answer: tuple[int, object], words: str) -> None:
    """The API server's own words are in the sentence."""
    Api.answers[:] = [answer]

    with pytest.raises(ServerFailed, match=whole(words)):
        job.common(of_job("--pod", "0"), "", lambda: namespace)


def test_a_pod_that_comes_after_the_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its share of the first turns would be missing."""
    start = "2026-07-01T12:00:00+00:00"
    monkeypatch.setattr("time.time", lambda: dt.datetime.fromisoformat(start).timestamp() + 60)
    sentence = (
        f"pod 1 of 2 was ready 60.0 s after the common start ({start}), but all pods must send the same turns "
        f"together; give them more time to start (loadtest.start_after_seconds)"
    )

    with pytest.raises(ServerFailed, match=whole(sentence)):
        planned_origin(Part(pod=1, pods=2, start=start, machine="m", clock_error_ms=None))


def _ended(kind: str, status: str = "True") -> dict[str, typing.Any]:
    return {**JOB, "status": {**JOB["status"], "conditions": [{"type": kind, "status": status}]}}


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_what_comes_after_the_job_waits_for_its_end(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It asks until Kubernetes says that the Job is over, however it ended."""
    monkeypatch.setattr(job, "_LOOK_SECONDS", 0.01)
    told = (JOB, _ended("SuccessCriteriaMet"), _ended(kind, "False"), _ended(kind))
    Api.answers[:] = [(200, each) for each in told]
    ended = asyncio.run(job.after(of_job("--after"), lambda: namespace, lambda: False))

    assert ended
    assert len(Api.paths) == 4


def test_an_api_server_that_restarts_is_waited_for(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Job goes on meanwhile; one that stays silent ends the waiting with its own words."""
    monkeypatch.setattr(job, "_LOOK_SECONDS", 0.001)
    Api.answers[:] = [(503, "etcd"), (200, JOB), (503, "etcd"), (200, _ended("Complete"))]
    ended = asyncio.run(job.after(of_job("--after"), lambda: namespace, lambda: False))
    Api.answers[:] = [(503, "etcd")]

    assert ended
    with pytest.raises(ServerFailed, match="did not tell of the Job loadgen: 503 etcd"):
        asyncio.run(job.after(of_job("--after"), lambda: namespace, lambda: False))


def test_a_stop_ends_the_waiting(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is stopped while it waits has nothing to judge."""
    monkeypatch.setattr(job, "_LOOK_SECONDS", 0.001)
    looks = iter([False, False])

    assert not asyncio.run(job.after(of_job("--after"), lambda: namespace, lambda: next(looks, True)))


def test_the_kernels_word_on_its_clock() -> None:
    """A bound in milliseconds, or nothing where no time service keeps the clock: never 0 for unknown."""
    found = clock_error_ms()

    assert found is None or found > 0
    assert len(machine()) > 8


def test_every_mistake_is_told_at_once(tmp_path: pathlib.Path) -> None:
    """What is wrong with the processes, with the file and with the servers."""
    settings = tmp_path / "s.yaml"
    settings.write_text("workloads: {degrees: [1, 2], colour: red}\n")
    parser = argparse.ArgumentParser()
    configure(parser)
    line = ["--settings", str(settings), "--results", "r", "--target", "a", "--pods", "2", "--starts-at", "noon"]
    with pytest.raises(SettingsError) as caught:
        asked(parser.parse_args(line), {})

    assert [problem.path for problem in caught.value.problems] == [
        "--pod",
        "--starts-at",
        "workloads.colour",
        "--target[0]",
    ]
