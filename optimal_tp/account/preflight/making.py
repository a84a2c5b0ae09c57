"""Check AMI, Kubernetes version, add-ons, administrators, example values and tools. Pure."""

import datetime as dt
import ipaddress
import typing

from optimal_tp.account.preflight.context import Scene
from optimal_tp.account.preflight.rows import Row, judged, unknown
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.facts.eks_addons import AddonName, addon_conflict
from optimal_tp.facts.versions import (
    KARPENTER,
    KARPENTER_KUBERNETES,
    KARPENTER_SUPPORTED_UNTIL,
    KubernetesMinor,
    bad_release,
    pair_conflict,
)
from optimal_tp.settings import first_up
from optimal_tp.settings.infra import InfraSettings
from optimal_tp.settings.node_capacity import Neuron

_WARN_DAYS = 60
_EXAMPLES: typing.Final = tuple(
    ipaddress.IPv4Network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
)
"""Networks kept for documentation (RFC 5737)."""
EXAMPLE_ACCOUNT: typing.Final = "111122223333"
"""The example account in the stack files, to be replaced; AWS's documentation uses it too."""


def ami_parameter(neuron: Neuron, minor: KubernetesMinor) -> str:
    """Return the public parameter that Karpenter reads for the pinned alias (seen, Karpenter 1.14.1, 2026-11-23)."""
    name = f"amazon-eks-node-al2023-x86_64-neuron-{minor}-{neuron.ami}"
    return f"/aws/service/eks/optimized-ami/{minor}/amazon-linux-2023/x86_64/neuron/{name}/image_id"


def ami(neuron: Neuron, minor: KubernetesMinor, parameter: Answer, image: Answer) -> Row:
    """Say whether the pinned alias names an AMI for this Kubernetes minor, and whether EC2 still has it.

    ``image`` is EC2's answer for the id in ``parameter``: AWS withdraws old AMIs but leaves their parameters.
    """
    check, required = f"AMI al2023@{neuron.ami}", f"a Neuron AMI of that release for Kubernetes {minor}"
    remedy = "set infra.neuron.ami_release to a release that fits the pair, or choose another pair"
    if isinstance(parameter, Unknown):
        return unknown(check, parameter.reason, required)
    if not parameter:
        return Row(check=check, state="wrong", found="no such parameter", required=required, remedy=remedy)
    name = str(parameter[0]["Value"])
    if isinstance(image, Unknown):
        return unknown(check, f"its id is {name}, but {image.reason}", required)
    state = str(image[0].get("State", "available")) if image else "no longer there"
    if state == "available":
        return Row(check=check, state="fine", found=f"{name}, available", required=required)
    return Row(check=check, state="wrong", found=f"{name}, {state}", required=required, remedy=remedy)


def support(neuron: Neuron) -> Row:
    """Say until when AWS supports the image: the end of NxD Inference is announced, and its successor is beta."""
    return Row(
        check="support of the image",
        state="warning",
        found=neuron.image_and_ami.support,
        required="an image that AWS will keep supporting",
        remedy="nothing to do for this run; its results hold for this image only, so measure a later image again",
    )


def pair(neuron: Neuron, minor: KubernetesMinor) -> Row:
    """Say whether the image's runtime and the AMI's driver accept each other, and whether the AMI has a known fault."""
    check, required = "image and AMI", "runtime and host driver accept each other"
    named = f"{neuron.pair} on {neuron.ami}"
    conflict = pair_conflict(neuron.image_and_ami, neuron.ami) or bad_release(neuron.ami, minor)
    doubt = neuron.image_and_ami.doubt
    if conflict is None and doubt is not None:
        remedy = "run one small degree first; if its log mentions `nrt_init`, the two do not match"
        return Row(check=check, state="warning", found=f"{named}: {doubt}", required=required, remedy=remedy)
    remedy = "remove infra.neuron.ami_release or choose another pair"
    return judged(check, conflict or named, required, remedy, is_right=conflict is None)


def karpenter(minor: KubernetesMinor, today: dt.date) -> Row:
    """Say whether our release of Karpenter supports this minor, and until when it is supported itself."""
    low, high = KARPENTER_KUBERNETES
    fits = low <= int(minor.partition(".")[2]) <= high
    left = (dt.date.fromisoformat(KARPENTER_SUPPORTED_UNTIL) - today).days
    supported = f"itself supported until {KARPENTER_SUPPORTED_UNTIL}"
    remedies = [
        ""
        if fits
        else f"choose an infra.kubernetes up to 1.{high}; beyond that, Karpenter logs an error and continues untested",
        "" if left > _WARN_DAYS else "look for a release of this program with a newer Karpenter",
    ]
    return Row(
        check=f"Karpenter {KARPENTER.version}",
        state="fine" if fits and left > _WARN_DAYS else "warning",
        found=f"supports Kubernetes 1.{low} to 1.{high}; {supported}",
        required=f"support for Kubernetes {minor}",
        remedy="; ".join(each for each in remedies if each),
    )


def kubernetes(minor: KubernetesMinor, answer: Answer, today: dt.date) -> Row:
    """Say whether EKS offers this minor, and until when without extra cost."""
    check, required = f"Kubernetes {minor}", "offered by EKS, in standard support"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if not answer:
        remedy = "choose another infra.kubernetes"
        return Row(check=check, state="wrong", found="not offered", required=required, remedy=remedy)
    end = answer[0].get("endOfStandardSupportDate")
    if end is None:
        return unknown(check, "EKS gives no end date", required, "look up the date in the EKS release calendar")
    left = (end.date() - today).days
    late = left <= _WARN_DAYS
    return Row(
        check=check,
        state="wrong" if left < 0 else "warning" if late else "fine",
        found=f"standard support ends {end:%Y-%m-%d}",
        required=required,
        remedy="choose a newer infra.kubernetes" if late else "",
    )


def addon(name: AddonName, wanted: str | None, minor: KubernetesMinor, answer: Answer) -> Row:
    """Say whether EKS has the add-on for this minor, in the settings' version or a default without known faults."""
    check, required = f"add-on {name}", wanted or f"a version for Kubernetes {minor}"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    offered = [version for entry in answer for version in entry.get("addonVersions", [])]
    names = [str(version["addonVersion"]) for version in offered]
    default = next((str(version["addonVersion"]) for version in offered if _is_default(version, minor)), None)
    told = "EKS has no default" if default is None else f"EKS's default is {default}"
    if wanted is not None and wanted in names:
        return Row(check=check, state="fine", found=f"offered; {told}", required=required)
    if not names or wanted is not None:
        found = f"not offered; {told}; the newest is {names[0]}" if names else "none"
        key = "infra.addons"
        remedy = f"set {key} to an offered version or remove it"
        return Row(check=check, state="wrong", found=found, required=required, remedy=remedy)
    harm = None if default is None else addon_conflict(name, default, minor)
    if harm is not None:
        remedy = f"name a version in infra.addons; it {harm}"
        return Row(check=check, state="wrong", found=told, required=required, remedy=remedy)
    return Row(check=check, state="fine", found=told, required=required)


def _is_default(version: typing.Any, minor: KubernetesMinor) -> bool:  # noqa: ANN401 - as AWS answers
    fits = version.get("compatibilities", [])
    return any(each.get("defaultVersion") and each.get("clusterVersion", minor) == minor for each in fits)


def example_networks(settings: InfraSettings) -> list[str]:
    """Return the networks that may reach the API server and are kept for documentation: nobody's own."""
    cidrs = settings.control_plane.public_access_cidrs
    return [cidr for cidr in cidrs if any(ipaddress.IPv4Network(cidr).subnet_of(block) for block in _EXAMPLES)]


def networks(settings: InfraSettings, there: Answer) -> Row:
    """Say which networks in the settings are examples, and whether the API server is reachable.

    ``there`` is the cluster, if it exists.
    """
    cidrs = settings.control_plane.public_access_cidrs
    examples = example_networks(settings)
    check = "access to the API server"
    if first_up.is_closed(settings):
        required = "reachable from where `up` runs"
        if isinstance(there, Unknown):
            return unknown(check, there.reason, required)
        if not there:
            found = f"private, and {first_up.CLOSED}"
            return Row(check=check, state="wrong", found=found, required=required, remedy=first_up.CLOSED_REMEDY)
    return Row(
        check=check,
        state="wrong" if examples else "fine",
        found=", ".join(cidrs) or "private",
        required="your own networks",
        remedy=f"replace the example {', '.join(examples)} with your own network" if examples else "",
    )


def administrator(arn: str, scene: Scene, answer: Answer, there: Answer) -> Row:
    """Say whether a role in ``control_plane.admin_role_arns`` exists, and is not the one that creates the cluster."""
    account = scene.account
    check, required = f"administrator {arn.rsplit('/', maxsplit=1)[-1]}", f"{arn} exists"
    if f"::{EXAMPLE_ACCOUNT}:" in arn and account != EXAMPLE_ACCOUNT:
        remedy = "set infra.control_plane.admin_role_arns to your own role or leave it empty"
        return Row(check=check, state="wrong", found="the example's account", required=required, remedy=remedy)
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if answer and first_up.is_role_of(scene.caller_arn, arn) and not isinstance(there, Unknown) and not there:
        found = f"the calling role: {first_up.ENTERED}"
        return Row(check=check, state="wrong", found=found, required=required, remedy=first_up.ENTERED_REMEDY)
    if answer:
        return Row(check=check, state="fine", found="there", required=required)
    remedy = "create the role or correct infra.control_plane.admin_role_arns"
    return Row(check=check, state="wrong", found="no such role", required=required, remedy=remedy)


def command(path: str | None) -> Row:
    """Say whether the ``aws`` command is on PATH: it provides the cluster's credentials."""
    remedy = "install the AWS CLI, version 2"
    return judged("aws command", path or "not on PATH", "on PATH", remedy, is_right=path is not None)
