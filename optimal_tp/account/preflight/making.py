"""Whether the rest can be made: AMI, Kubernetes version, add-ons, who administers, examples, tools. Pure."""

import datetime as dt
import ipaddress
import typing

from optimal_tp.account.preflight.rows import Row, unknown
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.facts.versions import ADDONS, AddonName, KubernetesMinor, pair_conflict
from optimal_tp.settings.capacity import Neuron
from optimal_tp.settings.infra import InfraSettings

_WARN_DAYS = 60
_EXAMPLES: typing.Final = tuple(
    ipaddress.IPv4Network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
)
"""Networks kept for documentation (RFC 5737)."""
EXAMPLE_ACCOUNT: typing.Final = "111122223333"
"""The account in the stack files, there to be replaced; AWS uses it in its documentation."""


def ami_parameter(neuron: Neuron, minor: KubernetesMinor) -> str:
    """Return the public parameter that Karpenter reads for the pinned alias (seen, Karpenter 1.14.1, 2026-11-23)."""
    name = f"amazon-eks-node-al2023-x86_64-neuron-{minor}-{neuron.ami}"
    return f"/aws/service/eks/optimized-ami/{minor}/amazon-linux-2023/x86_64/neuron/{name}/image_id"


def ami(neuron: Neuron, minor: KubernetesMinor, answer: Answer) -> Row:
    """Say whether the pinned alias names an AMI for this Kubernetes minor."""
    check, required = f"AMI al2023@{neuron.ami}", f"a Neuron AMI of that release for Kubernetes {minor}"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if answer:
        return Row(check=check, state="fine", found=str(answer[0]["Value"]), required=required)
    remedy = "set infra.neuron.ami_release to a release that fits the pair, or choose another pair"
    return Row(check=check, state="wrong", found="no such parameter", required=required, remedy=remedy)


def pair(neuron: Neuron) -> Row:
    """Say whether the image's runtime and the AMI's driver accept each other."""
    conflict = pair_conflict(neuron.image_and_ami, neuron.ami)
    return Row(
        check="image and AMI",
        state="fine" if conflict is None else "wrong",
        found=f"{neuron.pair} on {neuron.ami}" if conflict is None else conflict,
        required="runtime and host driver accept each other",
        remedy="" if conflict is None else "remove infra.neuron.ami_release or choose another pair",
    )


def kubernetes(minor: KubernetesMinor, answer: Answer, today: dt.date) -> Row:
    """Say whether EKS offers this minor, and until when without a surcharge."""
    check, required = f"Kubernetes {minor}", "offered by EKS, in standard support"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if not answer:
        remedy = "choose another infra.kubernetes"
        return Row(check=check, state="wrong", found="not offered", required=required, remedy=remedy)
    end = answer[0].get("endOfStandardSupportDate")
    if end is None:
        return unknown(check, "EKS names no end of standard support", required, "look it up in EKS's release calendar")
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
    """Say whether EKS has the add-on for this minor, in the version of the settings where one is named."""
    check, required = f"add-on {name}", wanted or f"any version for Kubernetes {minor}"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    offered = [str(version["addonVersion"]) for entry in answer for version in entry.get("addonVersions", [])]
    missing = not offered or (wanted is not None and wanted not in offered)
    return Row(
        check=check,
        state="wrong" if missing else "fine",
        found=", ".join(offered[:3]) if offered else "none",
        required=required,
        remedy=f"name one of these in infra.addons, or leave {name} out" if missing else "",
    )


def wanted_versions(settings: InfraSettings) -> dict[AddonName, str | None]:
    """Return the version that the settings name for each add-on; None where EKS chooses."""
    keys = {"aws-efs-csi-driver": "efs_csi_driver", "eks-pod-identity-agent": "pod_identity_agent"}
    return {name: getattr(settings.addons, keys.get(name, name.replace("-", "_"))) for name in ADDONS}


def networks(settings: InfraSettings) -> Row:
    """Say which networks of the settings are the examples of the stack file."""
    cidrs = settings.control_plane.public_access_cidrs
    examples = [cidr for cidr in cidrs if any(ipaddress.IPv4Network(cidr).subnet_of(block) for block in _EXAMPLES)]
    return Row(
        check="access to the API server",
        state="wrong" if examples else "fine",
        found=", ".join(cidrs) or "private",
        required="networks that you work from",
        remedy=f"replace {', '.join(examples)}, kept for documentation, by your own" if examples else "",
    )


def administrator(arn: str, account: str, answer: Answer) -> Row:
    """Say whether a role of ``control_plane.admin_role_arns`` is there."""
    check, required = f"administrator {arn.rsplit('/', maxsplit=1)[-1]}", f"{arn} exists"
    if f"::{EXAMPLE_ACCOUNT}:" in arn and account != EXAMPLE_ACCOUNT:
        remedy = "put your own role into infra.control_plane.admin_role_arns, or none"
        return Row(check=check, state="wrong", found="the example's account", required=required, remedy=remedy)
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if answer:
        return Row(check=check, state="fine", found="there", required=required)
    remedy = "make the role, or mend infra.control_plane.admin_role_arns"
    return Row(check=check, state="wrong", found="no such role", required=required, remedy=remedy)


def command(path: str | None) -> Row:
    """Say whether the ``aws`` command is there: the cluster's credentials come from it."""
    remedy = "" if path else "install the AWS CLI, version 2"
    state: typing.Literal["fine", "wrong"] = "fine" if path else "wrong"
    return Row(check="aws command", state=state, found=path or "not on PATH", required="on PATH", remedy=remedy)
