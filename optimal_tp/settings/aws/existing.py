"""A network or a cluster that is there already: nothing in it is changed or deleted."""

import typing

import pydantic

from optimal_tp.settings.aws.ids import SecurityGroupId, SubnetId
from optimal_tp.settings.node_capacity import Zone
from optimal_tp.settings.parser import Section, broken, shape


class ExistingNetwork(Section):
    """A VPC that is there already; nothing in it is changed or deleted."""

    vpc_id: str = pydantic.Field(
        pattern=shape(r"^vpc-[0-9a-z]+$", "must be the id of a VPC, for example vpc-0123456789abcdef0")
    )
    """The VPC of the subnets below."""
    private_subnet_ids: dict[Zone, SubnetId]
    """By zone, one for each of ``infra.zones``; they reach the internet or the registries by themselves."""


STACK_NAME: typing.Final = shape(
    r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$",
    "must be organization/project/stack, for example acme/platform/prod (organization, in a bucket or a folder)",
)


class ExistingStack(Section):
    """What a file may have in place of a cluster's ids: it is gone once they are read."""

    stack: str | None = pydantic.Field(default=None, pattern=STACK_NAME)
    """Another Pulumi stack: each required key below that is absent is taken from its output of the same name."""


def _or_a_stack(schema: dict[str, typing.Any]) -> None:
    """Let ``stack`` stand in for the required keys, as ``optimal_tp.account.stack_outputs`` does."""
    schema["properties"] = {"stack": {"type": "string", "pattern": STACK_NAME}, **schema["properties"]}
    schema["anyOf"] = [{"required": ["stack"]}, {"required": schema.pop("required")}]


class ExistingCluster(Section):
    """An EKS cluster with Karpenter, the Neuron chart and the EFS CSI driver, which stands in for rows 1 to 7.

    ``stack: organization/project/stack`` beside these keys takes every required one that is absent from that stack's
    output of the same name (optimal_tp/account/stack_outputs.py).
    """

    model_config = pydantic.ConfigDict(json_schema_extra=_or_a_stack)

    cluster_name: str = pydantic.Field(
        min_length=1,
        max_length=100,
        pattern=shape(r"^[A-Za-z0-9][A-Za-z0-9_-]*$", "must be the name of an EKS cluster"),
    )
    """Name of the EKS cluster in the stack's region."""
    oidc_provider_arn: str = pydantic.Field(
        pattern=shape(r"^arn:aws[a-z-]*:iam::\d{12}:oidc-provider/\S+$", "must be the ARN of an OIDC provider in IAM")
    )
    """The cluster's OIDC provider in IAM, which the load generator's role trusts."""
    kubeconfig: str | None = None
    """Path of a kubeconfig; absent takes the environment's."""
    context: str | None = None
    """Context in that kubeconfig; absent takes its current one."""
    file_system_id: str = pydantic.Field(
        pattern=shape(r"^fs-[0-9a-f]+$", "must be the id of an EFS file system, for example fs-0123456789abcdef0")
    )
    """EFS file system with a mount target in every zone of ``neuron.zones``; an access point is made on it."""
    subnet_ids: tuple[SubnetId, ...] = pydantic.Field(min_length=1)
    """Where Neuron nodes go."""
    security_group_ids: tuple[SecurityGroupId, ...] = pydantic.Field(min_length=1)
    """Of Neuron nodes: the cluster's own, as a rule."""
    instance_profile: str = pydantic.Field(min_length=1, max_length=128)
    """Of Neuron nodes; its role has an access entry of type EC2_LINUX."""

    @pydantic.field_validator("context")
    @classmethod
    def _reaches_a_cluster(cls, context: str | None, info: pydantic.ValidationInfo) -> str | None:
        if context is None and info.data.get("kubeconfig") is None:
            rule = "must be set unless infra.existing.kubeconfig is: the program needs one of them to reach the cluster"
            raise broken(rule, "")
        return context

    @property
    def oidc_issuer(self) -> str:
        """The issuer without its scheme, as IAM conditions name it."""
        return self.oidc_provider_arn.split(":oidc-provider/", maxsplit=1)[1]
