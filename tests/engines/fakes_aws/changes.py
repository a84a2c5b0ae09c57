"""What a changed input means: an update in place or a replacement."""

import typing

from tests.engines.fakes_aws.kinds import NAMED_BY
from tests.engines.fakes_aws.world import Properties

IN_PLACE: typing.Final[typing.Mapping[str, frozenset[str]]] = {
    "AccessEntry": frozenset({"kubernetesGroups", "userName"}),
    "Addon": frozenset(
        {"addonVersion", "configurationValues", "podIdentityAssociations", "resolveConflictsOnUpdate", "preserve"}
    ),
    "Bucket": frozenset({"forceDestroy"}),
    "Cluster": frozenset(
        {"version", "enabledClusterLogTypes", "vpcConfig", "accessConfig", "upgradePolicy", "deletionProtection"}
    ),
    "Dashboard": frozenset({"dashboardBody"}),
    "EventRule": frozenset({"description", "eventPattern"}),
    "FileSystem": frozenset({"throughputMode"}),
    "Key": frozenset({"description", "enableKeyRotation", "deletionWindowInDays"}),
    "LogGroup": frozenset({"retentionInDays"}),
    "NodeGroup": frozenset({"scalingConfig", "updateConfig", "version", "launchTemplate"}),
    "PodIdentityAssociation": frozenset({"roleArn"}),
    "Policy": frozenset({"policy"}),
    "Queue": frozenset({"messageRetentionSeconds", "sqsManagedSseEnabled"}),
    "QueuePolicy": frozenset({"policy"}),
    "Role": frozenset({"assumeRolePolicy", "description"}),
    "RolePolicy": frozenset({"policy"}),
    "Route": frozenset({"natGatewayId", "gatewayId"}),
    "SecurityGroupIngressRule": frozenset({"description", "fromPort", "toPort", "ipProtocol"}),
    "Vpc": frozenset({"enableDnsHostnames", "enableDnsSupport"}),
    "VpcEndpoint": frozenset({"routeTableIds"}),
}
"""Inputs that AWS changes without making the resource anew, beside tags (API references, botocore 1.44.5)."""
ALL_IN_PLACE: typing.Final = frozenset(
    {
        "LaunchTemplate",
        "MetricAlarm",
        "DefaultSecurityGroup",
        "BucketVersioning",
        "BucketPolicy",
        "BucketLifecycleConfiguration",
        "BucketPublicAccessBlock",
        "BucketServerSideEncryptionConfiguration",
    }
)


def changed(olds: Properties, news: Properties) -> list[str]:
    """Return the inputs that differ, by name."""
    return sorted(name for name in {*olds, *news} if olds.get(name) != news.get(name))


def replacing(kind: str, names: list[str]) -> list[str]:
    """Return those of the changed inputs that only a new resource can have."""
    if kind in ALL_IN_PLACE:
        return [name for name in names if kind in NAMED_BY and name == NAMED_BY[kind][0]]
    return [name for name in names if name not in {"tags", "tagsAll"} | IN_PLACE.get(kind, frozenset())]
