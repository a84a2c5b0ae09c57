"""The hub's token: a secret of the stack, a Secret of the cluster, a file of the Job, and nowhere else."""

import json

import pytest

from tests.fakes_configs import CONFIG
from tests.fakes_pulumi import Recording
from tests.fakes_schemas import problems, whole
from tests.fakes_workloads import PROGRAMS, program

TOKEN = "hf_planted"  # noqa: S105 - a made-up one
SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - how Pulumi's protocol marks a value that is encrypted
TOKENS = "artifacts-fetch-token"


@pytest.fixture(name="gated", scope="module")
def gated_program() -> Recording:
    """Return the program of a stack with a token."""
    return program(hub_token=TOKEN)


def test_the_token_reaches_the_cluster_as_a_secret(gated: Recording) -> None:
    """In Pulumi's state it is encrypted, and only the Secret has it."""
    made = gated.one(f"Secret {TOKENS}").inputs

    assert SECRET_MARK in made["stringData"].values()
    assert made["stringData"]["value"] == {"token": TOKEN}
    assert [each.name for each in gated.resources if TOKEN in json.dumps(each.inputs, default=str)] == [TOKENS]
    assert TOKEN not in json.dumps(gated.outputs, default=str)


def test_the_job_reads_it_from_a_file(gated: Recording) -> None:
    """Its environment and its words have the file's name alone."""
    pod = gated.one("Job artifacts-fetch").inputs["spec"]["template"]["spec"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "hub-token"]
    words = pod["containers"][0]["command"]

    assert volume["secret"]["secretName"] == gated.one(f"Secret {TOKENS}").inputs["metadata"]["name"]
    assert words[words.index("--token-file") + 1] == "/var/run/hub/token"
    assert {"mountPath": "/var/run/hub", "name": "hub-token", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert all(each["name"] != "hub-token" for each in pod["initContainers"][0]["volumeMounts"])


def test_the_job_is_valid(gated: Recording) -> None:
    """The API server takes it with the mounted Secret."""
    assert problems(whole(gated.one("Job artifacts-fetch").inputs)) == []


def test_a_token_changes_nothing_else(gated: Recording) -> None:
    """Rotating or adding it starts no server and compiles nothing."""
    without = {each.key: each.inputs for each in PROGRAMS["one-each"]().resources}
    changed = {each.key for each in gated.resources if each.inputs != without.get(each.key)}

    assert changed == {f"Secret {TOKENS}", "Job artifacts-fetch"}


def test_a_bucket_needs_no_token() -> None:
    """The Job's role reads it; a token that nobody asks for is given to nobody."""
    made = program(hub_token=TOKEN, serving__model_source="s3://models/mine")

    pod = made.one("Job artifacts-fetch").inputs["spec"]["template"]["spec"]

    assert not made.of_type("core/v1:Secret")
    assert "--token-file" not in pod["containers"][0]["command"]


def test_the_job_holds_the_model_against_the_file_that_was_read() -> None:
    """What the plan counted, the Job expects: the sizes of the config.json that the settings name."""
    job = program(serving__config_file=str(CONFIG)).one("Job artifacts-fetch").inputs
    words = job["spec"]["template"]["spec"]["containers"][0]["command"]

    assert '"family": "llama"' in words[words.index("--shape") + 1]
