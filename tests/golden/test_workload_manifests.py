"""Every manifest of the experiment, as agreed on, and valid for the API server of the pinned minor version."""

import copy
import re
import typing

import pytest
import yaml

from optimal_tp.settings.infra import InfraSettings
from tests.fakes_goldens import hold_to
from tests.fakes_pulumi import Recording
from tests.fakes_schemas import SCHEMAS, manifests, problems, whole
from tests.fakes_workloads import PROGRAMS

_DIGEST = re.compile(r"-(code|settings)-[0-9a-f]{12}$")


def agreed(recording: Recording) -> str:
    """Return the manifests as one YAML text; our own code and the digests in names are left out."""
    documents = []
    for each in manifests(recording):
        manifest = whole(copy.deepcopy(each.inputs))
        if each.name.rpartition("-")[0].endswith("-code"):
            manifest["data"] = "our code"
        documents.append(_without_code(manifest))
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=True, width=120)


def _without_code(value: typing.Any) -> typing.Any:
    if isinstance(value, dict):
        if value.get("name") == "code" and "projected" in value:
            names = [_without_code(source["configMap"]["name"]) for source in value["projected"]["sources"]]
            return {"name": "code", "projected": names}
        return {key: _without_code(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_code(part) for part in value]
    return _DIGEST.sub(r"-\1-DIGEST", value) if isinstance(value, str) else value


@pytest.mark.parametrize("name", PROGRAMS)
def test_manifests_are_as_agreed(name: str) -> None:
    """A change of any manifest is a change of its golden file, which somebody has read."""
    hold_to(f"manifests-{name}.yaml", agreed(PROGRAMS[name]()))


@pytest.mark.parametrize("name", PROGRAMS)
def test_manifests_are_valid(name: str) -> None:
    """The API server of the pinned minor accepts every object: no unknown field, no wrong type, nothing missing."""
    found = [problem for each in manifests(PROGRAMS[name]()) for problem in problems(whole(each.inputs))]

    assert len(manifests(PROGRAMS[name]())) > 10
    assert found == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.template.spec.schedulername", "my-scheduler"),
        ("spec.replicas", "one"),
        ("spec.template.spec.containers", None),
        ("spec.template.spec.containers.0.resources.limits.cpu", "2 CPUs"),
    ],
    ids=["misspelt", "wrong type", "missing", "no quantity"],
)
def test_a_broken_manifest_is_found(path: str, value: object) -> None:
    """The check above fails on a field that the API server does not know, cannot read, or misses."""
    found = {each.name: each.inputs for each in manifests(PROGRAMS["one-each"]())}
    spoilt = whole(copy.deepcopy(found["tp1-pods"]))
    place = spoilt
    *above, last = path.split(".")
    for part in above:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value

    assert len(problems(spoilt)) == 1


def test_the_schemas_are_of_the_default_minor() -> None:
    """Whoever raises the minor brings its schemas."""
    assert SCHEMAS.name.startswith(f"kubernetes-{InfraSettings.model_fields['kubernetes'].default}.")
