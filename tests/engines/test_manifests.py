"""Every object of every stack file before a real API server, with Karpenter's definitions and their rules."""

import collections.abc
import copy
import functools
import typing

import pytest

from tests.engines.fakes_api_server import ControlPlane, control_plane
from tests.engines.fakes_cluster import Manifest, applied, created, define_karpenter, manifests
from tests.engines.fakes_engines import CONTROL_PLANE, needs
from tests.fakes_workloads import PROGRAMS

pytestmark = [pytest.mark.engines, pytest.mark.timeout(180), needs(CONTROL_PLANE)]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[ControlPlane]:
    """Return an API server that knows Karpenter's kinds and has the program's namespace."""
    with control_plane(tmp_path_factory.mktemp("plane")) as running:
        define_karpenter(running)
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "optimal-tp"}}
        created(running, "/api/v1/namespaces", space)
        yield running


@functools.cache
def of_kind() -> dict[str, Manifest]:
    """Return one manifest of each kind that the program makes; of ConfigMaps an immutable one."""
    found = [each for name in ("pods", "plugin-on-large-node", "one-each") for each in manifests(PROGRAMS[name]())]
    found.sort(key=lambda manifest: "immutable" in manifest)
    return {manifest["kind"]: manifest for manifest in found}


def changed(manifest: Manifest, path: str, value: object) -> Manifest:
    """Return ``manifest`` with one place set, or with None taken away."""
    copied = copy.deepcopy(manifest)
    place: typing.Any = copied
    *above, last = path.split("/")
    for part in above:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return copied


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_object_is_accepted(plane: ControlPlane, name: str) -> None:
    """Server-side apply with strict fields refuses nothing that the program sends."""
    sent = manifests(PROGRAMS[name]())
    refused = {f"{each['kind']} {each['metadata']['name']}": applied(plane, each, dry=True) for each in sent}

    assert {key: reason for key, reason in refused.items() if reason is not None} == {}
    assert len(sent) > 20


BROKEN: typing.Final[dict[str, tuple[str, object, str]]] = {
    "ClusterRole": ("rules/0/verbs", None, "verbs: Required value"),
    "ClusterRoleBinding": ("roleRef/kind", "Group", "Unsupported value"),
    "ConfigMap": ("data/no such key!", "x", "a valid config key must consist of"),
    "CronJob": ("spec/schedule", "every five minutes", "spec.schedule: Invalid value"),
    "Deployment": ("spec/template/metadata/labels", {"app": "other"}, "`selector` does not match template `labels`"),
    "EC2NodeClass": ("spec/role", "other", "must specify exactly one of ['role', 'instanceProfile']"),
    "Job": ("spec/template/spec/restartPolicy", "Always", "spec.template.spec.restartPolicy"),
    "Namespace": ("metadata/labels", {"team": "x y"}, "metadata.labels: Invalid value"),
    "NetworkPolicy": ("spec/policyTypes", ["Inward"], "Unsupported value"),
    "NodeOverlay": ("spec/priceAdjustment", "+10%", "cannot set both 'price' and 'priceAdjustment'"),
    "NodePool": ("spec/template/spec/terminationGrace", "10m", "field not declared in schema"),
    "PersistentVolume": ("spec/accessModes", ["ReadMostly"], "Unsupported value"),
    "PersistentVolumeClaim": ("spec/resources/requests/storage", "-1Gi", "must be greater than zero"),
    "PodDisruptionBudget": ("spec/maxUnavailable", "half", "a valid percent string must be"),
    "Role": ("rules/0/resources", None, "resource rules must supply at least one resource"),
    "RoleBinding": ("subjects/0/kind", "Pod", "Unsupported value"),
    "Service": ("spec/ports/0/port", 80000, "must be between 1 and 65535"),
    "ServiceAccount": ("automountToken", True, "field not declared in schema"),
    "ValidatingAdmissionPolicy": ("spec/validations/0/expression", "oldObject.metadata.", "Syntax error"),
    "ValidatingAdmissionPolicyBinding": ("spec/validationActions", ["Forgive"], "Unsupported value"),
}
"""One mistake for each kind: path, value, and a piece of the server's sentence."""


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_object_of_each_kind_is_refused(plane: ControlPlane, kind: str) -> None:
    """The check above can fail, whatever the kind; the same object without the mistake passes."""
    path, value, sentence = BROKEN[kind]

    assert applied(plane, of_kind()[kind], dry=True) is None
    assert sentence in str(applied(plane, changed(of_kind()[kind], path, value), dry=True))


def test_no_kind_is_left_out() -> None:
    """Whoever adds a kind says how it breaks."""
    assert set(BROKEN) == set(of_kind())


FIXED: typing.Final[dict[str, tuple[str, str, object, str]]] = {
    "group of the node class": (
        "NodePool",
        "spec/template/spec/nodeClassRef/group",
        "example.org",
        "group is immutable",
    ),
    "kind of the node class": ("NodePool", "spec/template/spec/nodeClassRef/kind", "Other", "kind is immutable"),
    "static pool": ("NodePool", "spec/replicas", 2, "replicas"),
    "file system of a volume": ("PersistentVolume", "spec/csi/volumeHandle", "fs-1::fsap-2", "is immutable"),
    "volume of a claim": ("PersistentVolumeClaim", "spec/volumeName", "another", "is immutable"),
    "code of an immutable map": ("ConfigMap", "data", {"order.json": "{}"}, "field is immutable"),
    "command of a Job": ("Job", "spec/template/spec/containers/0/command", ["true"], "field is immutable"),
    "pods of a Deployment": ("Deployment", "spec/selector/matchLabels/app", "other", "field is immutable"),
}
"""Updates that the server compares with the stored object: kind, path, value, and a piece of the sentence."""


@pytest.mark.parametrize("case", FIXED)
def test_what_is_fixed_once_made_cannot_be_changed(plane: ControlPlane, case: str) -> None:
    """Transition rules: the object is made, and the update is refused; Pulumi must replace it or never ask."""
    kind, path, value, sentence = FIXED[case]
    manifest = of_kind()[kind]
    made = applied(plane, manifest)
    update = changed(manifest, path, value)
    if kind == "Deployment":
        update = changed(update, "spec/template/metadata/labels/app", "other")

    assert made is None
    assert sentence in str(applied(plane, update, dry=True))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("NodePool", "spec/limits/nodes", "3"),
        ("NodePool", "spec/template/spec/terminationGracePeriod", "20m"),
        ("EC2NodeClass", "spec/amiSelectorTerms", [{"alias": "al2023@v20260714"}]),
        ("EC2NodeClass", "spec/tags", {"stack": "other"}),
    ],
    ids=["more nodes", "more patience", "another pair's image", "tags"],
)
def test_what_a_stack_file_changes_is_an_update(plane: ControlPlane, kind: str, path: str, value: object) -> None:
    """A change of a limit or of an image pair is accepted in place: nothing is replaced, no node is lost for it."""
    manifest = of_kind()[kind]

    assert applied(plane, manifest) is None
    assert applied(plane, changed(manifest, path, value), dry=True) is None
