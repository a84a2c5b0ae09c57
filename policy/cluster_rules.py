"""Rules for what runs in the cluster: images and charts by pin, bounded pools."""

import re
import typing

from rulebook import Found, Options, Resource, inner, listed

NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
_POD_SPECS = {
    "kubernetes:apps/v1:DaemonSet": "spec.template.spec",
    "kubernetes:apps/v1:Deployment": "spec.template.spec",
    "kubernetes:apps/v1:StatefulSet": "spec.template.spec",
    "kubernetes:batch/v1:CronJob": "spec.jobTemplate.spec.template.spec",
    "kubernetes:batch/v1:Job": "spec.template.spec",
    "kubernetes:core/v1:Pod": "spec",
}
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_EXACT_TAG = re.compile(r":v?\d+\.\d+\.\d+[\w.-]*$")
"""A tag that names one release, as three numbers; ``latest``, ``3`` and ``3.11`` move."""
_NEURON = "aws.amazon.com/neuron"


def images_are_pinned(resource: Resource, _: Options) -> Found:
    """Every image is named by digest or by a tag of one release."""
    for container in _containers(resource):
        image = str(container.get("image"))
        if not _DIGEST.search(image) and not _EXACT_TAG.search(image):
            yield f"{resource.name} runs {image}; an image is named by digest or by the tag of one release"


def charts_are_pinned(resource: Resource, _: Options) -> Found:
    """Every chart has an exact version; one from a local directory is what lies there."""
    if resource.type != "kubernetes:helm.sh/v3:Release" or str(resource.properties.get("chart", "")).startswith("/"):
        return
    version = str(resource.properties.get("version", ""))
    if not re.fullmatch(r"v?\d+\.\d+\.\d+([+-][\w.-]+)?", version):
        yield f"{resource.name} has version {version!r}; a chart has one exact version"


def pools_are_bounded(resource: Resource, _: Options) -> Found:
    """Give a node pool a limit, one instance type, and an end for pods that will not go."""
    if resource.type != NODE_POOL:
        return
    limits = inner(resource.properties, "spec.limits") or {}
    if not limits.keys() & {"nodes", _NEURON}:
        yield f"{resource.name} has limits {dict(limits)!r}; a pool says how many nodes or chips it may launch at most"
    if not inner(resource.properties, "spec.template.spec.terminationGracePeriod"):
        yield f"{resource.name} has no terminationGracePeriod; without it a pod that will not go keeps a node billed"
    wanted = listed(inner(resource.properties, "spec.template.spec.requirements"))
    pinned = [
        each
        for each in wanted
        if each.get("key") == "node.kubernetes.io/instance-type" and each.get("operator") == "In"
    ]
    if not pinned:
        yield f"{resource.name} pins no instance type; Karpenter may then launch the largest"


def services_stay_inside(resource: Resource, _: Options) -> Found:
    """Keep Services reachable from the cluster only."""
    kind = inner(resource.properties, "spec.type")
    if resource.type == "kubernetes:core/v1:Service" and kind not in (None, "ClusterIP"):
        yield f"{resource.name} is a {kind}; servers have no authentication, so a Service is a ClusterIP"


def _containers(resource: Resource) -> list[typing.Mapping[str, typing.Any]]:
    pod = inner(resource.properties, _POD_SPECS.get(resource.type, "-")) or {}
    return [*listed(pod.get("initContainers")), *listed(pod.get("containers"))]
