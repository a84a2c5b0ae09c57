"""The whole program on a cluster whose ids another stack puts out."""

import pytest

from optimal_tp.account.stack_outputs import WANTED
from optimal_tp.errors import SettingsError
from tests.fakes_pulumi import CALLS, recorded
from tests.fakes_stack_files import EXISTING
from tests.fakes_workloads import on_existing

pytestmark = pytest.mark.program

OUTPUTS = {key: value for key, value in EXISTING.items() if key != "context"}
QUESTION = "pulumi:pulumi:readStackOutputs"


REFERENCE = {"stack": "acme/platform/prod", "context": "theirs"}


def test_a_reference_stands_for_the_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is asked once, and the program makes what it makes with the ids written out."""
    answer = {"name": "acme/platform/prod", "outputs": {**OUTPUTS, "token": "hidden"}, "secretOutputNames": ["token"]}
    monkeypatch.setitem(CALLS, QUESTION, answer)
    found, written = on_existing(infra__existing=REFERENCE), on_existing()

    assert found.calls.count(QUESTION) == 1
    assert {each.urn: each.inputs for each in found.resources} == {each.urn: each.inputs for each in written.resources}


def test_a_secret_id_never_reaches_a_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the error."""
    answer = {"name": "s", "outputs": OUTPUTS, "secretOutputNames": ["instance_profile"]}
    monkeypatch.setitem(CALLS, QUESTION, answer)
    with pytest.raises(
        SettingsError, match=r"output instance_profile of acme/platform/prod: must not be secret.*got '\[secret\]'"
    ) as told:
        on_existing(infra__existing=REFERENCE)

    assert str(OUTPUTS["instance_profile"]) not in str(told.value)


def test_a_stack_of_ours_puts_out_what_a_reference_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outputs of a stack that made its cluster stand for the ids of another stack's."""
    outputs = recorded("Pulumi.dev.yaml").outputs
    monkeypatch.setitem(CALLS, QUESTION, {"name": "acme/platform/prod", "outputs": outputs})
    found = on_existing(infra__existing=REFERENCE)
    written = on_existing(infra__existing={**{key: outputs[key] for key in WANTED}, "context": "theirs"})

    assert {each.urn: each.inputs for each in found.resources} == {each.urn: each.inputs for each in written.resources}
    assert {key: found.outputs[key] for key in WANTED} == {key: outputs[key] for key in WANTED}
