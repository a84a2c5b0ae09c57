"""``stop`` and ``why-pending`` with a kubectl and an AWS CLI that play a cluster."""

import json
import pathlib
import typing

import pytest
import yaml

from optimal_tp.__main__ import main
from tests.fakes_stack_files import EXISTING, stack_config

_PLAYED = """#!/bin/sh
echo "$(basename "$0") $*" >> "$PLAY/calls"
case "$*" in
  *" get "*) kind=$(echo "$*" | sed 's/.* get \\([a-z]*\\).*/\\1/'); cat "$PLAY/$kind.json" ;;
  "eks update-kubeconfig"*) ;;
  *) [ ! -e "$PLAY/refusal" ] || { cat "$PLAY/refusal" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def play(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return the folder that kubectl answers from; the stack dev lies where the commands run."""
    for name in ("kubectl", "aws"):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(_PLAYED, encoding="utf-8")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("PLAY", str(tmp_path))
    monkeypatch.setenv("OPTIMAL_TP_STACK", "dev")
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    return tmp_path


def written(folder: pathlib.Path, **infra: object) -> None:
    """Write the dev stack's file with keys of ``infra`` added."""
    config = stack_config("Pulumi.dev.yaml")
    config["optimal-tp:infra"] |= infra
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")


def answers(play: pathlib.Path, kind: str, *items: object) -> None:
    """Have kubectl list ``items``."""
    (play / f"{kind}.json").write_text(json.dumps({"items": items}), encoding="utf-8")


def calls(play: pathlib.Path) -> list[str]:
    """Return what was called, the folder of the kubeconfig left out."""
    return [
        " ".join("KUBECONFIG" if word.endswith("/kubeconfig") else word for word in line.split())
        for line in (play / "calls").read_text(encoding="utf-8").splitlines()
    ]


def deployment(name: str, replicas: int | None, part: str = "server") -> dict[str, typing.Any]:
    """Return a server as Kubernetes lists it, or another ``part``; absent replicas are one."""
    meta = {"name": name, "labels": {"optimal-tp/part": part}}
    return {"metadata": meta, "spec": {} if replicas is None else {"replicas": replicas}}


def job(name: str, *, suspended: bool = False, ended: str | None = None) -> dict[str, typing.Any]:
    """Return a Job as Kubernetes lists it."""
    conditions = [] if ended is None else [{"type": ended, "status": "True"}]
    return {"metadata": {"name": name}, "spec": {"suspend": suspended}, "status": {"conditions": conditions}}


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what a command says that succeeds."""
    status = main([*words])
    out = capsys.readouterr()
    assert (status, out.err) == (0, "")
    return out.out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the sentence of a command that fails."""
    assert main([*words]) == 5
    return capsys.readouterr().err


ASKING = "kubectl --kubeconfig KUBECONFIG --namespace optimal-tp --request-timeout=60s"
AGAIN = "kubectl --namespace optimal-tp scale --replicas 1 deployment/qwen-vllm-loadgen"
LOOKING = [
    "aws eks update-kubeconfig --region ap-southeast-4 --name optimal-tp-dev --kubeconfig KUBECONFIG",
    f"{ASKING} get deployments --selector optimal-tp/part --output json",
    f"{ASKING} get jobs --selector optimal-tp/part --output json",
]


def test_running_servers_are_stopped(play: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the stack's own cluster, whatever kubectl's context is; those that are stopped are left alone."""
    answers(play, "deployments", deployment("tp2", 1), deployment("tp4", 0), deployment("tp1", None))
    answers(play, "jobs", job("tp1-compile", ended="Complete"), job("tp4-compile", suspended=True))
    text = said(capsys, "stop")

    assert text.startswith("stopped in namespace optimal-tp of cluster optimal-tp-dev: tp1, tp2\n")
    assert text.endswith("until: pulumi destroy --stack dev\n")
    assert "The run goes on" not in text
    assert calls(play) == [*LOOKING, f"{ASKING} scale --replicas 0 deployment/tp1 deployment/tp2"]


def test_a_run_under_way_is_stopped_before_its_servers(play: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The load generator would start them again, and Jobs that compile hold nodes; it says how the run goes on."""
    answers(play, "deployments", deployment("tp1", 1), deployment("qwen-vllm-loadgen", 1, "load-generator"))
    answers(play, "jobs", job("tp1-compile", ended="Failed"), job("tp2-compile"), job("fetch"))
    text = said(capsys, "stop")

    assert text.splitlines()[:2] == [
        "stopped in namespace optimal-tp of cluster optimal-tp-dev: qwen-vllm-loadgen, tp2-compile, fetch, tp1",
        f"The run goes on where it was, until its deadline, after: {AGAIN}",
    ]
    patch = '--type merge --patch {"spec": {"suspend": true}}'
    assert calls(play) == [
        *LOOKING,
        f"{ASKING} scale --replicas 0 deployment/qwen-vllm-loadgen",
        f"{ASKING} patch job/tp2-compile {patch}",
        f"{ASKING} patch job/fetch {patch}",
        f"{ASKING} scale --replicas 0 deployment/tp1",
    ]


def test_nothing_runs(play: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is scaled then; for programs as JSON."""
    answers(play, "deployments", deployment("tp1", 0))
    answers(play, "jobs")

    assert said(capsys, "stop") == (
        "nothing runs in namespace optimal-tp of cluster optimal-tp-dev (1 is stopped already)\n"
    )
    assert json.loads(said(capsys, "stop", "--json")) == {
        "stack": "dev",
        "cluster": "optimal-tp-dev",
        "namespace": "optimal-tp",
        "stopped": [],
        "already_stopped": 1,
    }
    assert not [call for call in calls(play) if " scale " in call or " patch " in call]


def test_another_cluster_is_reached_as_the_stack_says(play: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its context, without the AWS CLI."""
    config = stack_config("Pulumi.dev.yaml")["optimal-tp:infra"]
    kept = {key: value for key, value in config.items() if key in ("zones", "neuron")}
    whole = stack_config("Pulumi.dev.yaml") | {"optimal-tp:infra": {**kept, "existing": EXISTING}}
    (play / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": whole}), encoding="utf-8")
    answers(play, "pods")
    answers(play, "events")

    assert said(capsys, "why-pending") == "no pod is pending in namespace optimal-tp of cluster theirs\n"
    assert {call.split(" --namespace")[0] for call in calls(play)} == {"kubectl --context theirs"}


def test_the_stacks_profile_reaches_its_cluster(play: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The kubeconfig's token is asked of the account that the stack names, whatever the shell's is."""
    config = stack_config("Pulumi.dev.yaml") | {"aws:profile": "work"}
    (play / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    answers(play, "deployments")
    answers(play, "jobs")
    said(capsys, "stop")

    assert calls(play)[0] == f"{LOOKING[0]} --profile work"


def test_the_clusters_refusal_is_told(play: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In kubectl's own words."""
    answers(play, "deployments", deployment("tp1", 1))
    answers(play, "jobs")
    (play / "refusal").write_text("Error from server (Forbidden): you may not\n", encoding="utf-8")

    assert refused(capsys, "stop") == "kubectl failed: Error from server (Forbidden): you may not\n"


@pytest.mark.parametrize("command", ["stop", "why-pending"])
def test_a_command_that_is_missing_is_named(
    command: str, play: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the way to it."""
    monkeypatch.setenv("PATH", str(play))

    assert refused(capsys, command) == (
        "kubectl: must be on PATH to reach the stack's cluster; install it: https://kubernetes.io/docs/tasks/tools\n"
    )


def pod(name: str, phase: str, **status: object) -> dict[str, typing.Any]:
    """Return a pod as Kubernetes lists it."""
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-07-01T12:00:00Z"},
        "spec": {"nodeName": "node-a"} if "containerStatuses" in status else {},
        "status": {"phase": phase, **status},
    }


def event(name: str, at: str, reason: str, message: str) -> dict[str, typing.Any]:
    """Return an event of the pod ``name``."""
    about = {"kind": "Pod", "name": name, "uid": f"uid-{name}"}
    return {
        "involvedObject": about,
        "lastTimestamp": at,
        "reason": reason,
        "message": message,
        "source": {"component": "karpenter"},
    }


def test_pending_pods_say_what_they_wait_for(play: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The scheduler's reason, a container's, and the last events of this very pod in their order."""
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}
    waiting = {"name": "vllm", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    answers(
        play,
        "pods",
        pod("tp2", "Pending", conditions=[unschedulable]),
        pod("tp1", "Pending", containerStatuses=[waiting]),
        pod("gone", "Running"),
    )
    answers(
        play,
        "events",
        *(event("tp2", f"2026-07-01T12:0{minute}:00Z", "Waits", f"minute {minute}") for minute in (5, 2, 4, 3)),
        event("gone", "2026-07-01T12:09:00Z", "Started", "it runs"),
        {"involvedObject": {"kind": "Job", "uid": "uid-tp2"}, "reason": "Created"},
    )

    assert said(capsys, "why-pending") == (
        "tp1: pending since 2026-07-01T12:00:00Z, on node node-a\n"
        "  container vllm: ImagePullBackOff: no such image\n"
        "tp2: pending since 2026-07-01T12:00:00Z, without a node\n"
        "  Unschedulable: 0/2 nodes\n"
        "  2026-07-01T12:03:00Z karpenter: Waits: minute 3\n"
        "  2026-07-01T12:04:00Z karpenter: Waits: minute 4\n"
        "  2026-07-01T12:05:00Z karpenter: Waits: minute 5\n"
    )
    found = json.loads(said(capsys, "why-pending", "--json"))["pending"]
    assert [each["node"] for each in found] == ["node-a", None]
    assert found[1]["events"][-1] == {"at": "2026-07-01T12:05:00Z", "by": "karpenter", "sentence": "Waits: minute 5"}
