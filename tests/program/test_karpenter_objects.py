"""Every custom resource is valid against Karpenter's own definitions, their CEL rules included.

The rules are evaluated with cel-python, the one CEL implementation for Python that is pure enough to install anywhere
and lets a test add the two functions that Kubernetes adds to CEL (``find`` and ``split``).
"""

import collections.abc
import copy
import functools
import pathlib
import re
import typing

import celpy
import jsonschema
import pytest
import yaml
from celpy import celtypes
from celpy.adapter import json_to_cel

from tests.fakes_pulumi import recorded
from tests.fakes_stack_files import STACK_FILES

CRDS = pathlib.Path(__file__).parents[1] / "crds"
FILES = {
    "EC2NodeClass": "karpenter.k8s.aws_ec2nodeclasses.yaml",
    "NodePool": "karpenter.sh_nodepools.yaml",
    "NodeOverlay": "karpenter.sh_nodeoverlays.yaml",
}
Schema = dict[str, typing.Any]


def _find(text: celtypes.StringType, pattern: celtypes.StringType) -> celtypes.StringType:
    found = re.search(str(pattern), str(text))
    return celtypes.StringType("" if found is None else found.group(0))


def _split(text: celtypes.StringType, by: celtypes.StringType) -> celtypes.ListType:
    return celtypes.ListType([celtypes.StringType(part) for part in str(text).split(str(by))])


@functools.cache
def definition(kind: str) -> Schema:
    """Return the stored definition of ``kind``."""
    loaded: Schema = yaml.load((CRDS / FILES[kind]).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return loaded


def schema_of(kind: str, version: str) -> Schema:
    """Return the OpenAPI schema of ``kind`` in API ``version`` ("v1")."""
    served = {each["name"]: each for each in definition(kind)["spec"]["versions"] if each["served"]}
    schema: Schema = served[version]["schema"]["openAPIV3Schema"]
    return schema


@functools.cache
def environment_of_rules() -> celpy.Environment:
    """Return the one environment: building its parser takes longer than all rules together."""
    return celpy.Environment()


@functools.cache
def program_of(rule: str) -> celpy.Runner:
    """Compile one CEL rule."""
    environment = environment_of_rules()
    return environment.program(environment.compile(rule), functions={"find": _find, "split": _split})


def broken_rules(schema: Schema, value: typing.Any, path: str = "") -> collections.abc.Iterator[str]:
    """Yield "path: message" for each rule of ``schema`` that ``value`` breaks; transition rules need an old object."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in rule["rule"] and not program_of(rule["rule"]).evaluate({"self": json_to_cel(value)}):
            yield f"{path}: {rule['message']}"
    if isinstance(value, dict):
        for key, part in value.items():
            inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if isinstance(inner, dict):
                yield from broken_rules(inner, part, f"{path}.{key}")
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from broken_rules(schema.get("items", {}), part, f"{path}[{index}]")


def unknown_fields(schema: Schema, value: object, path: str = "") -> collections.abc.Iterator[str]:
    """Yield the paths that the API server would prune without a word."""
    if isinstance(value, dict) and "properties" in schema:
        for key, part in value.items():
            if key not in schema["properties"]:
                yield f"{path}.{key}"
            else:
                yield from unknown_fields(schema["properties"][key], part, f"{path}.{key}")
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from unknown_fields(schema.get("items", {}), part, f"{path}[{index}]")


def problems(kind: str, manifest: Schema) -> list[str]:
    """Return everything that the API server would refuse or drop."""
    schema = schema_of(kind, manifest["apiVersion"].rsplit("/", maxsplit=1)[-1])
    spec = {**schema["properties"]["spec"]}
    validator = jsonschema.Draft7Validator(spec)
    found = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(manifest["spec"])]
    found += broken_rules(spec, manifest["spec"])
    return [*found, *(f"{path} is unknown" for path in unknown_fields(spec, manifest["spec"]))]


@functools.cache
def _recorded(file: str) -> dict[str, Schema]:
    resources = recorded(file).resources
    return {each.inputs["kind"]: each.inputs for each in resources if each.inputs.get("kind") in FILES}


@pytest.mark.parametrize("file", STACK_FILES)
def test_objects_are_valid(file: str) -> None:
    """Nothing that a stack file asks for is refused by the API server, or dropped without a word."""
    manifests = _recorded(file)

    assert {kind: problems(kind, manifest) for kind, manifest in manifests.items()} == {kind: [] for kind in manifests}
    assert {"EC2NodeClass", "NodePool"} <= manifests.keys()


@pytest.mark.parametrize("kind", FILES)
def test_objects_name_the_group_that_is_stored(kind: str) -> None:
    """ApiVersion is the group of the definition and a version that it serves."""
    manifest = _recorded("Pulumi.prod.yaml")[kind]

    assert manifest["apiVersion"].split("/")[0] == definition(kind)["spec"]["group"]


BROKEN: dict[str, tuple[str, typing.Callable[[Schema], object], str]] = {
    "two identities": (
        "EC2NodeClass",
        lambda spec: spec.update(role="other"),
        "must specify exactly one of ['role', 'instanceProfile']",
    ),
    "alias of no family": (
        "EC2NodeClass",
        lambda spec: spec.update(amiSelectorTerms=[{"alias": "al2024@v1"}]),
        "family is not supported",
    ),
    "tag of Karpenter": (
        "EC2NodeClass",
        lambda spec: spec["tags"].update({"karpenter.sh/nodepool": "mine"}),
        "tag contains a restricted tag matching karpenter.sh/nodepool",
    ),
    "budget without its schedule": (
        "NodePool",
        lambda spec: spec["disruption"]["budgets"].append({"nodes": "0", "duration": "1h"}),
        "'schedule' must be set with 'duration'",
    ),
    "restricted label": (
        "NodePool",
        lambda spec: spec["template"]["spec"]["requirements"].append(
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["one"]}
        ),
        'label "kubernetes.io/hostname" is restricted',
    ),
    "duration without a unit": (
        "NodePool",
        lambda spec: spec["disruption"].update(consolidateAfter="60"),
        "does not match",
    ),
    "unknown field": (
        "NodePool",
        lambda spec: spec["template"]["spec"].update(terminationGrace="10m"),
        ".template.spec.terminationGrace is unknown",
    ),
    "two prices": (
        "NodeOverlay",
        lambda spec: spec.update(priceAdjustment="+10%"),
        "cannot set both 'price' and 'priceAdjustment'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_rules_can_fail(case: str) -> None:
    """The check finds what the API server would refuse: each kind of rule is seen to fail."""
    kind, spoil, expected = BROKEN[case]
    manifest = copy.deepcopy(_recorded("Pulumi.prod.yaml")[kind])
    spoil(manifest["spec"])
    found = problems(kind, manifest)

    assert any(expected in problem for problem in found), found
