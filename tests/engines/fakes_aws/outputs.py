"""What AWS computes for a new resource."""

import collections.abc
import os
import typing

from tests.engines.fakes_aws.kinds import NAMED_BY
from tests.engines.fakes_aws.world import ACCOUNT, Properties, World

ENDPOINT: typing.Final = "OPTIMAL_TP_MODEL_ENDPOINT"
"""Environment variable with the URL of the API server that stands for every EKS cluster's."""
AUTHORITY: typing.Final = "OPTIMAL_TP_MODEL_AUTHORITY"
"""Environment variable with its certificate authority, base64 of PEM."""

Computed = collections.abc.Callable[[World, str, str, Properties], Properties]
"""(world, id, name, inputs) to outputs."""

_ARNS: typing.Final[typing.Mapping[str, str]] = {
    "Role": "iam::{account}:role/{name}",
    "Policy": "iam::{account}:policy/{name}",
    "InstanceProfile": "iam::{account}:instance-profile/{name}",
    "LogGroup": "logs:{region}:{account}:log-group:{name}",
    "Queue": "sqs:{region}:{account}:{name}",
    "EventRule": "events:{region}:{account}:rule/{name}",
    "Key": "kms:{region}:{account}:key/{id}",
    "Cluster": "eks:{region}:{account}:cluster/{name}",
    "NodeGroup": "eks:{region}:{account}:nodegroup/{id}",
    "FileSystem": "elasticfilesystem:{region}:{account}:file-system/{id}",
    "AccessPoint": "elasticfilesystem:{region}:{account}:access-point/{id}",
    "Bucket": "s3:::{name}",
    "MetricAlarm": "cloudwatch:{region}:{account}:alarm:{name}",
}


def _cluster(world: World, id_: str, _: str, inputs: Properties) -> Properties:
    issuer = f"https://oidc.eks.{world.region}.amazonaws.com/id/{id_.upper()}"
    vpc = {**inputs.get("vpcConfig", {}), "clusterSecurityGroupId": f"sg-of-{id_}"}
    return {
        "endpoint": os.environ.get(ENDPOINT, "https://127.0.0.1:1"),
        "certificateAuthority": {"data": os.environ.get(AUTHORITY, "")},
        "certificateAuthorities": [{"data": os.environ.get(AUTHORITY, "")}],
        "identities": [{"oidcs": [{"issuer": issuer}]}],
        "vpcConfig": vpc,
        "status": "ACTIVE",
    }


_COMPUTED: typing.Final[typing.Mapping[str, Computed]] = {
    "Cluster": _cluster,
    "LaunchTemplate": lambda _, __, ___, ____: {"latestVersion": 1, "defaultVersion": 1},
    "Queue": lambda world, _, name, __: {"url": f"https://sqs.{world.region}.amazonaws.com/{ACCOUNT}/{name}"},
    "OpenIdConnectProvider": lambda _, __, ___, inputs: {
        "arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{str(inputs['url']).removeprefix('https://')}"
    },
    "Bucket": lambda _, __, name, ___: {"bucketDomainName": f"{name}.s3.amazonaws.com"},
    "Addon": lambda _, __, ___, ____: {"status": "ACTIVE"},
    "NodeGroup": lambda _, __, ___, ____: {"status": "ACTIVE"},
}


def computed(world: World, kind: str, id_: str, inputs: Properties) -> Properties:
    """Return all outputs of a resource: its inputs, its ARN, and what only AWS knows."""
    name = str(inputs.get(NAMED_BY[kind][0], id_)) if kind in NAMED_BY else id_
    found = dict(inputs)
    if kind in _ARNS:
        found["arn"] = "arn:aws:" + _ARNS[kind].format(region=world.region, account=ACCOUNT, name=name, id=id_)
    if kind in _COMPUTED:
        found.update(_COMPUTED[kind](world, id_, name, inputs))
    return found
