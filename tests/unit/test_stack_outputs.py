"""A stack reference in place of the ids of an existing cluster."""

import json
import pathlib
import typing

import pytest

from optimal_tp.account.stack_outputs import StackOutputs, by_command, with_outputs
from optimal_tp.errors import Problem, SettingsError
from optimal_tp.settings.stack_config import HIDDEN
from tests.fakes_stack_files import EXISTING

STACK = "acme/platform/prod"
OUTPUTS = {key: value for key, value in EXISTING.items() if key != "context"}


def section(**existing: object) -> dict[str, typing.Any]:
    """Return an ``infra`` section that names the stack."""
    return {"zones": ["a"], "existing": {"stack": STACK, "context": "theirs", **existing}}


def told(section: object, outputs: StackOutputs) -> str:
    """Return the refusal of ``section``."""
    with pytest.raises(SettingsError) as refused:
        with_outputs(section, lambda _: outputs, file="Pulumi.dev.yaml")
    return str(refused.value)


def test_outputs_fill_what_is_absent() -> None:
    """A key that is written wins; outputs of other names are not taken."""
    outputs = StackOutputs(values={**OUTPUTS, "kubeconfig": "not a path", "other": 1})
    found = with_outputs(section(instance_profile="ours"), lambda _: outputs, file="f")

    assert found == {"zones": ["a"], "existing": {**EXISTING, "instance_profile": "ours"}}


@pytest.mark.parametrize("infra", [None, [], {"existing": None}, {"existing": EXISTING}])
def test_nobody_is_asked_without_a_stack(infra: object) -> None:
    """A section without a reference, or no section at all, is the parser's alone."""

    def never(name: str) -> StackOutputs:
        raise AssertionError(name)

    assert with_outputs(infra, never, file="f") == infra


def test_missing_outputs_come_in_one_error() -> None:
    """One `up` tells of all of them."""
    found = told(section(), StackOutputs(values={key: OUTPUTS[key] for key in ("cluster_name", "oidc_provider_arn")}))

    assert found.count("\n") == 3
    assert (
        f"output file_system_id of {STACK}: must be there: infra.existing takes file_system_id from an output of that "
        "name (not set); export it there, or set infra.existing.file_system_id in Pulumi.dev.yaml"
    ) in found


def test_a_secret_output_is_refused_and_not_shown() -> None:
    """Ids show in previews; what somebody keeps secret does not get there."""
    values = {key: value for key, value in OUTPUTS.items() if key != "instance_profile"}
    found = told(section(), StackOutputs(values=values, secrets=frozenset({"instance_profile"})))

    assert found == (
        f"output instance_profile of {STACK}: must not be secret, because instance_profile is visible in the "
        f"resources made with it (got {HIDDEN!r}); export it as a plain output, or set "
        "infra.existing.instance_profile in Pulumi.dev.yaml"
    )


@pytest.mark.parametrize(
    "name", ["prod", "acme/platform", "acme//prod", "a/b/c/d", "acme/platform/", 7, None, "a/b/c d"]
)
def test_a_name_must_be_a_stacks(name: object) -> None:
    """Before anybody is asked."""
    found = told(section(stack=name), StackOutputs(values={}))

    assert "must be organization/project/stack, for example acme/platform/prod" in found


def test_a_stack_that_cannot_be_read_is_told_with_its_file() -> None:
    """So that the line of its key can be found."""

    def silent(name: str) -> StackOutputs:
        raise SettingsError([Problem(path="infra.existing.stack", value=name, rule="must be a stack")])

    with pytest.raises(SettingsError) as refused:
        with_outputs(section(), silent, file="Pulumi.dev.yaml")
    assert str(refused.value) == f"Pulumi.dev.yaml infra.existing.stack: must be a stack (got '{STACK}')"


def test_pulumi_tells_them(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it hides is a secret, and stays out."""
    command = tmp_path / "pulumi"
    text = json.dumps({"cluster_name": "theirs", "kubeconfig": "[secret]"})
    command.write_text(f"#!/bin/sh\necho '{text}'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert by_command(STACK) == StackOutputs(values={"cluster_name": "theirs"}, secrets=frozenset({"kubeconfig"}))


def test_a_stack_that_pulumi_does_not_know(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words are in the sentence."""
    command = tmp_path / "pulumi"
    command.write_text("#!/bin/sh\necho \"error: no stack named 'prod' found\" >&2\nexit 255\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(
        SettingsError,
        match=r"but pulumi said: error: no stack named 'prod' found \(got 'acme/platform/prod'\); name",
    ):
        by_command(STACK)


def test_a_command_that_does_not_end_is_not_waited_for(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may ask for a passphrase that nobody sees; the sentence names whoever asked, and his way around."""
    command = tmp_path / "pulumi"
    command.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("optimal_tp.account.stack_outputs.PATIENCE_SECONDS", 0.05)
    with pytest.raises(SettingsError) as refused:
        by_command("dev", path="--stack", remedy="name the bucket")

    assert str(refused.value) == (
        "--stack: must be a stack whose outputs can be read, but the pulumi command did not end within 0.05 s (got "
        "'dev'); name the bucket"
    )
