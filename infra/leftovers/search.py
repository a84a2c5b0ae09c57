"""Where leftovers are looked for: the tags of Karpenter and EKS, our names, and the tags of the stack file."""

import typing

from infra.account import questions
from infra.account.questions import Answer, Ask, Question, Unknown, exactly
from infra.leftovers.findings import HOURS_PER_MONTH, Kind, Leftover, instances, leftovers
from infra.nodes import NODE_POOL
from infra.settings import InfraSettings

_OWNERS: typing.Final = ("eks:eks-cluster-name", "eks:cluster-name", "cluster.k8s.amazonaws.com/name")
"""Tags with the cluster's name: Karpenter's, of managed node groups, of the network plugin."""
_INSTANCE = Kind(
    name="instance",
    id_key="InstanceId",
    bills=True,
    remove="aws ec2 terminate-instances --region {region} --instance-ids {name}",
    gone=("shutting-down", "terminated"),
)
_EC2: typing.Final[tuple[tuple[Question, Kind], ...]] = (
    (
        questions.VOLUMES,
        Kind(
            name="volume",
            id_key="VolumeId",
            bills=True,
            remove="aws ec2 delete-volume --region {region} --volume-id {name}",
            gone=("deleting", "deleted"),
        ),
    ),
    (
        questions.INTERFACES,
        Kind(
            name="network interface",
            id_key="NetworkInterfaceId",
            bills=False,
            remove="aws ec2 delete-network-interface --region {region} --network-interface-id {name}",
            # What is in use goes with what uses it, which is listed itself, or is a neighbour's.
            gone=("in-use",),
            state_key="Status",
        ),
    ),
    (
        questions.TEMPLATES,
        Kind(
            name="launch template",
            id_key="LaunchTemplateId",
            bills=False,
            remove="aws ec2 delete-launch-template --region {region} --launch-template-id {name}",
        ),
    ),
)
_CLUSTER = Kind(
    name="cluster",
    id_key="name",
    bills=True,
    remove="aws eks delete-cluster --region {region} --name {name}",
)
_LOGS = Kind(
    name="log group",
    id_key="logGroupName",
    bills=True,
    remove="aws logs delete-log-group --region {region} --log-group-name {name}",
)
_BOARD = Kind(
    name="dashboard",
    id_key="DashboardName",
    bills=True,
    remove="aws cloudwatch delete-dashboards --region {region} --dashboard-names {name}",
)
_ADDRESS = Kind(
    name="Elastic IP",
    id_key="AllocationId",
    bills=True,
    remove="aws ec2 release-address --region {region} --allocation-id {name}",
)
_FILES = Kind(
    name="file system",
    id_key="FileSystemId",
    bills=True,
    remove="aws efs delete-file-system --region {region} --file-system-id {name}",
    state_key="LifeCycleState",
    gone=("deleting", "deleted"),
)


def search(settings: InfraSettings, ask: Ask) -> tuple[list[Leftover], list[str]]:
    """Return what is left of the stack, and a sentence for each kind that nobody could tell about."""
    found: list[Leftover] = []
    unknown: list[str] = []

    def add(kind: Kind, answer: Answer) -> None:
        if isinstance(answer, Unknown):
            unknown.append(f"{kind.name}s: {answer.reason}")
        else:
            known = {(each.kind, each.name) for each in found}
            new = leftovers(kind, answer, settings.region)
            found.extend(each for each in new if (each.kind, each.name) not in known)

    name = settings.existing.cluster_name if settings.existing is not None else settings.cluster_name
    for tags in _owned(settings, name):
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
        add(_INSTANCE, instances(ask(questions.INSTANCES, Filters=filters)))
        for question, kind in _EC2:
            add(kind, ask(question, Filters=filters))
    add(_BOARD, exactly(ask(questions.DASHBOARDS, DashboardNamePrefix=name), "DashboardName", name))
    if settings.existing is None:
        _cluster(settings, ask, add)
    return found, unknown


def _owned(settings: InfraSettings, name: str) -> list[dict[str, str]]:
    """Return the sets of tags that tell what is this stack's; each set is one search.

    A cluster that was there before has nodes, volumes and interfaces of its own, with the same tags of cluster and
    network plugin: there only what this stack's node pool launched is ours.
    """
    if settings.existing is not None:
        return [{"eks:eks-cluster-name": name, "karpenter.sh/nodepool": NODE_POOL}]
    # Names are never matched in part.
    return [*({owner: name} for owner in _OWNERS), {"Name": f"{name}-system"}]


def _cluster(settings: InfraSettings, ask: Ask, add: typing.Callable[[Kind, Answer], None]) -> None:
    name, hourly = settings.cluster_name, settings.prices
    add(_priced(_CLUSTER, hourly.control_plane.usd_per_hour), ask(questions.CLUSTER, name=name))
    group = f"/aws/eks/{name}/cluster"
    add(_LOGS, exactly(ask(questions.LOG_GROUPS, logGroupNamePrefix=group), "logGroupName", group))
    gateway = Kind(
        name="NAT gateway",
        id_key="NatGatewayId",
        bills=True,
        remove="aws ec2 delete-nat-gateway --region {region} --nat-gateway-id {name}",
        gone=("deleting", "deleted", "failed"),
    )
    if not settings.tags:
        reason = "infra.tags is empty, so ours cannot be told from others"
        for kind in (gateway, _ADDRESS, _FILES):
            add(kind, Unknown(reason=reason))
        return
    tagged = [{"Name": f"tag:{key}", "Values": [value]} for key, value in settings.tags.items()]
    add(_priced(gateway, hourly.nat_gateway.usd_per_hour), ask(questions.NAT_GATEWAYS, Filter=tagged))
    add(_ADDRESS, ask(questions.ADDRESSES, Filters=tagged))
    add(_FILES, _with_tags(ask(questions.FILE_SYSTEMS), settings.tags))


def _priced(kind: Kind, usd_per_hour: float) -> Kind:
    return Kind(**{**vars(kind), "usd_per_month": usd_per_hour * HOURS_PER_MONTH})


def _with_tags(answer: Answer, tags: typing.Mapping[str, str]) -> Answer:
    if isinstance(answer, Unknown):
        return answer
    return tuple(
        entry for entry in answer if tags.items() <= {tag["Key"]: tag["Value"] for tag in entry["Tags"]}.items()
    )
