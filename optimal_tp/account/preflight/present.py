"""Check that the existing resources in the settings exist and fit: network, cluster, needs of Neuron nodes. Pure."""

import collections.abc
import typing

from optimal_tp.account.preflight.rows import Row, judged, unknown
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.settings.aws.existing import ExistingCluster
from optimal_tp.settings.infra import InfraSettings

AUDIENCE: typing.Final = "sts.amazonaws.com"
_REMEDY = "correct {key}"


def cluster(settings: InfraSettings, existing: ExistingCluster, answer: Answer) -> list[Row]:
    """Say whether the cluster is active, has the settings' minor version, and matches the OIDC provider."""
    check = f"cluster {existing.cluster_name}"
    required = f"active, Kubernetes {settings.kubernetes}, access entries allowed"
    issuer_check, issuer_required = "OIDC issuer", f"https://{existing.oidc_issuer}"
    if isinstance(answer, Unknown):
        return [unknown(check, answer.reason, required), unknown(issuer_check, answer.reason, issuer_required)]
    if not answer:
        remedy = f"correct infra.existing.cluster_name; it must be a cluster in {settings.region}"
        return [Row(check=check, state="wrong", found="no such cluster here", required=required, remedy=remedy)]
    entry = answer[0]
    mode = entry.get("accessConfig", {}).get("authenticationMode", "CONFIG_MAP")
    issuer = entry.get("identity", {}).get("oidc", {}).get("issuer", "none")
    is_right = (entry["status"], entry["version"]) == ("ACTIVE", settings.kubernetes) and "API" in mode
    found = f"{entry['status']}, Kubernetes {entry['version']}, authentication {mode}"
    remedy = "set infra.kubernetes to the cluster's version, wait until it is active or enable access entries"
    return [
        judged(check, found, required, remedy, is_right=is_right),
        judged(
            issuer_check,
            issuer,
            issuer_required,
            "set infra.existing.oidc_provider_arn to the provider of this cluster's issuer",
            is_right=issuer == issuer_required,
        ),
    ]


def provider(existing: ExistingCluster, audiences: Answer) -> Row:
    """Say whether IAM knows the OIDC provider and takes the audience of service accounts."""
    check, required = "OIDC provider", f"in IAM, with audience {AUDIENCE}"
    if isinstance(audiences, Unknown):
        return unknown(check, audiences.reason, required)
    remedy = (
        f"create it: aws iam create-open-id-connect-provider --url https://{existing.oidc_issuer} --client-id-list "
    )
    found = f"audiences {', '.join(audiences)}" if audiences else "no such provider or no audience"
    return judged(check, found, required, remedy + AUDIENCE, is_right=AUDIENCE in audiences)


def vpc_of(answer: Answer) -> str | None:
    """Return the VPC of the cluster in ``answer``; None if it is not known."""
    if isinstance(answer, Unknown) or not answer:
        return None
    found = answer[0].get("resourcesVpcConfig", {}).get("vpcId")
    return None if found is None else str(found)


def subnets(
    key: str,
    wanted: collections.abc.Collection[str],
    zones: collections.abc.Collection[str],
    vpc_id: str | None,
    answer: Answer,
) -> Row:
    """Say whether the subnets in the setting ``key`` exist in one VPC, and together cover ``zones``."""
    check, required = f"subnets of {key}", f"{', '.join(wanted)} in {', '.join(zones)} of {vpc_id or 'the VPC'}"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if vpc_id is None:
        return unknown(check, "the VPC is not known", required)
    there = {str(entry["SubnetId"]): entry for entry in answer}
    faults = [f"no {name}" for name in wanted if name not in there]
    faults += [f"{name} in {entry['VpcId']}" for name, entry in there.items() if entry["VpcId"] != vpc_id]
    covered = {entry["AvailabilityZone"] for entry in there.values()}
    faults += [f"none in {zone}" for zone in zones if zone not in covered]
    found = ", ".join(faults) or ", ".join(f"{name} in {each['AvailabilityZone']}" for name, each in there.items())
    return judged(check, found, required, _REMEDY.format(key=key), is_right=not faults)


def placed(wanted: collections.abc.Mapping[str, str], answer: Answer) -> Row:
    """Say whether each subnet of ``infra.network.existing`` lies in the zone under which it is listed."""
    check, required = "zones of infra.network.existing", ", ".join(f"{zone} {name}" for zone, name in wanted.items())
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    zone_of = {str(entry["SubnetId"]): str(entry["AvailabilityZone"]) for entry in answer}
    faults = [
        f"{name} is in {zone_of.get(name, 'no zone')}" for zone, name in wanted.items() if zone_of.get(name) != zone
    ]
    remedy = _REMEDY.format(key="infra.network.existing.private_subnet_ids")
    return judged(check, ", ".join(faults) or "each in its own", required, remedy, is_right=not faults)


def groups(existing: ExistingCluster, vpc_id: str | None, answer: Answer) -> Row:
    """Say whether the security groups exist in the cluster's VPC."""
    wanted = existing.security_group_ids
    check, required = "security groups", f"{', '.join(wanted)} in {vpc_id or 'the VPC'}"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if vpc_id is None:
        return unknown(check, "the VPC is not known", required)
    there = {str(entry["GroupId"]): str(entry["VpcId"]) for entry in answer}
    faults = [f"no {name}" for name in wanted if name not in there]
    faults += [f"{name} in {vpc}" for name, vpc in there.items() if vpc != vpc_id]
    remedy = _REMEDY.format(key="infra.existing.security_group_ids")
    return judged(check, ", ".join(faults) or "there", required, remedy, is_right=not faults)


def vpc(vpc_id: str, answer: Answer) -> Row:
    """Say whether the VPC of ``infra.network.existing`` exists."""
    check, required = "VPC", f"{vpc_id} available"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    found = str(answer[0]["State"]) if answer else "no such VPC here"
    remedy = _REMEDY.format(key="infra.network.existing.vpc_id")
    return judged(check, found, required, remedy, is_right=found == "available")


def files(existing: ExistingCluster, answer: Answer) -> Row:
    """Say whether the file system exists."""
    check, required = "file system", f"{existing.file_system_id} available"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    found = str(answer[0]["LifeCycleState"]) if answer else "no such file system here"
    return judged(
        check, found, required, _REMEDY.format(key="infra.existing.file_system_id"), is_right=found == "available"
    )


def mounts(zones: collections.abc.Collection[str], answer: Answer) -> Row:
    """Say whether the file system has a mount target in each zone of the Neuron nodes."""
    check, required = "mount targets", f"one in {', '.join(zones)}"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    there = sorted(str(each["AvailabilityZoneName"]) for each in answer if each["LifeCycleState"] == "available")
    missing = [zone for zone in zones if zone not in there]
    remedy = f"create one in {', '.join(missing)} or remove the zone from infra.neuron.zones"
    return judged(check, ", ".join(there) or "none", required, remedy, is_right=not missing)


def node_role(answer: Answer) -> str | None:
    """Return the ARN of the instance profile's role; None if there is none or it is not known."""
    if isinstance(answer, Unknown) or not answer or not answer[0]["Roles"]:
        return None
    return str(answer[0]["Roles"][0]["Arn"])


def profile(existing: ExistingCluster, answer: Answer) -> Row:
    """Say whether the instance profile exists and has a role."""
    check, required = "instance profile", f"{existing.instance_profile}, with a role"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    role = node_role(answer)
    found = role or ("a profile without a role" if answer else "no such profile")
    return judged(
        check, found, required, _REMEDY.format(key="infra.existing.instance_profile"), is_right=role is not None
    )


def entry(existing: ExistingCluster, role: str | None, answer: Answer) -> Row:
    """Say whether the nodes' role may join the cluster."""
    check, required = "access entry of the nodes", "type EC2_LINUX for the instance profile's role"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if role is None:
        return unknown(check, "the role is not known", required)
    found = str(answer[0]["type"]) if answer else "none"
    remedy = (
        f"aws eks create-access-entry --cluster-name {existing.cluster_name} --principal-arn {role} --type EC2_LINUX"
    )
    return judged(check, found, required, remedy, is_right=found == "EC2_LINUX")
