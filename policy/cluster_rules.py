"""Rules for the cluster: pinned images and charts, limited node pools, no public Services, a budget."""

import collections.abc
import json
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
BUDGET, ENDLESS = "optimal-tp/budget-usd", "optimal-tp/keep-running"
"""Annotations of the experiment's namespace: what the stack file's ``spend`` section sets."""


def images_are_pinned(resource: Resource, _: Options) -> Found:
    """Every image must be named by digest or by a tag of one release."""
    for container in _containers(resource):
        image = str(container.get("image"))
        if not _DIGEST.search(image) and not _EXACT_TAG.search(image):
            yield f"{resource.name}: must name its image by digest or by the tag of one release (got {image})"


def charts_are_pinned(resource: Resource, _: Options) -> Found:
    """Every chart must have an exact version, unless it comes from a local directory."""
    if resource.type != "kubernetes:helm.sh/v3:Release" or str(resource.properties.get("chart", "")).startswith("/"):
        return
    version = str(resource.properties.get("version", ""))
    if not re.fullmatch(r"v?\d+\.\d+\.\d+([+-][\w.-]+)?", version):
        yield f"{resource.name}: must have one exact version of its chart (got '{version}')"


def pools_are_bounded(resource: Resource, _: Options) -> Found:
    """Require a limit, one instance type, and a termination grace period for stuck pods of each node pool."""
    if resource.type != NODE_POOL:
        return
    limits = inner(resource.properties, "spec.limits") or {}
    if not limits.keys() & {"nodes", _NEURON}:
        yield f"{resource.name}: must limit the nodes or chips that it launches (got limits {json.dumps(dict(limits))})"
    if not inner(resource.properties, "spec.template.spec.terminationGracePeriod"):
        yield f"{resource.name}: must have a terminationGracePeriod; without it a stuck pod keeps a node billed"
    wanted = listed(inner(resource.properties, "spec.template.spec.requirements"))
    pinned = [
        each
        for each in wanted
        if each.get("key") == "node.kubernetes.io/instance-type" and each.get("operator") == "In"
    ]
    if not pinned:
        yield f"{resource.name}: must pin an instance type; otherwise Karpenter may launch the largest"


def services_stay_inside(resource: Resource, _: Options) -> Found:
    """Services must be reachable from the cluster only."""
    kind = inner(resource.properties, "spec.type")
    if resource.type == "kubernetes:core/v1:Service" and kind not in (None, "ClusterIP"):
        yield f"{resource.name}: must be a ClusterIP, because servers have no authentication (got {kind})"


def spending_is_bounded(resources: collections.abc.Sequence[Resource], _: Options) -> Found:
    """Pods that request Neuron cores need a budget and a guard, or the explicit setting to run for ever."""
    spenders = [each for each in resources if _asks_for_neuron(each)]
    if not spenders:
        return
    namespaces = [each for each in resources if each.type == "kubernetes:core/v1:Namespace"]
    notes = [inner(each.properties, "metadata.annotations") or {} for each in namespaces]
    if not any(_is_an_amount(each.get(BUDGET)) for each in notes):
        yield f"{spenders[0].name}: must have a namespace with {BUDGET} above 0, because it asks for Neuron cores"
    if any(each.get(ENDLESS) == "true" for each in notes):
        return
    if not any(each.type == "kubernetes:batch/v1:CronJob" for each in resources):
        yield f"{spenders[0].name}: must have a CronJob that guards the deadline, because it asks for Neuron cores"


def _containers(resource: Resource) -> list[typing.Mapping[str, typing.Any]]:
    pod = inner(resource.properties, _POD_SPECS.get(resource.type, "-")) or {}
    return [*listed(pod.get("initContainers")), *listed(pod.get("containers"))]


def _asks_for_neuron(resource: Resource) -> bool:
    wishes = (inner(container, "resources.limits") or {} for container in _containers(resource))
    return any(key.startswith(_NEURON) for wish in wishes for key in wish)


def _is_an_amount(value: object) -> bool:
    try:
        return float(str(value)) > 0
    except ValueError:
        return False
