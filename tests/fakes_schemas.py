"""Kubernetes as tests see it: recorded resources as manifests, held against the API server's own schemas."""

import functools
import json
import pathlib
import typing

import jsonschema

from tests.fakes_pulumi import Recorded, Recording

SCHEMAS = pathlib.Path(__file__).parent / "schemas" / "kubernetes-1.35.4.json"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
QUANTITY_PATTERN = r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
PREFIX = "kubernetes:"


@functools.cache
def _document() -> dict[str, typing.Any]:
    """Return the schemas, closed: what a definition does not name is an error, as with the server's strict fields."""
    document: dict[str, typing.Any] = json.loads(SCHEMAS.read_text(encoding="utf-8"))
    for definition in document["definitions"].values():
        if "properties" in definition:
            definition.setdefault("additionalProperties", False)
    document["definitions"][_INT_OR_STRING] = {"type": ["integer", "string"]}
    document["definitions"][_QUANTITY] = {"type": "string", "pattern": QUANTITY_PATTERN}
    return document


@functools.cache
def _validator(kind: str) -> jsonschema.Draft4Validator:
    document = _document()
    reference = f"#/definitions/{document['kinds'][kind]}"
    return jsonschema.Draft4Validator({"$ref": reference, "definitions": document["definitions"]})


def problems(manifest: typing.Mapping[str, typing.Any]) -> list[str]:
    """Return what the API server would refuse in ``manifest``, with the path. Raises KeyError for an unknown kind."""
    kind = f"{manifest['apiVersion']}/{manifest['kind']}"
    errors = _validator(kind).iter_errors(manifest)
    return [f"{kind} {'.'.join(str(part) for part in error.absolute_path)}: {error.message}" for error in errors]


def manifests(recording: Recording) -> list[Recorded]:
    """Return the recorded objects of the experiment that the API server gets: no releases, no custom resources."""
    kinds = {f"{PREFIX}{kind.rsplit('/', maxsplit=1)[0]}:{kind.rsplit('/', maxsplit=1)[1]}" for kind in _kinds()}
    return sorted((each for each in recording.resources if each.type in kinds), key=lambda each: each.key)


def _kinds() -> list[str]:
    # Pulumi spells the core group; the API server leaves it out.
    return [f"core/{kind}" if kind.count("/") == 1 else kind for kind in _document()["kinds"]]


def whole(manifest: object) -> typing.Any:
    """Return ``manifest`` with whole numbers as integers: the engine's protocol knows only floats."""
    if isinstance(manifest, dict):
        return {key: whole(value) for key, value in manifest.items()}
    if isinstance(manifest, list):
        return [whole(value) for value in manifest]
    if isinstance(manifest, float) and manifest.is_integer():
        return int(manifest)
    return manifest
