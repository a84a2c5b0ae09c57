"""An existing network or cluster that a stack uses; the program changes and deletes nothing in it."""

import typing

import pydantic

from optimal_tp.settings.aws.ids import SecurityGroupId, SubnetId
from optimal_tp.settings.node_capacity import Zone
from optimal_tp.settings.parser import Section, broken, shape


class ExistingNetwork(Section):
    """An existing VPC; the program changes and deletes nothing in it."""

    vpc_id: str = pydantic.Field(
        pattern=shape(r"^vpc-[0-9a-z]+$", "must be the id of a VPC, for example vpc-0123456789abcdef0")
    )
    """The VPC of the subnets below."""
    private_subnet_ids: dict[Zone, SubnetId]
    """One private subnet for each of ``infra.zones``, by zone. Each must already reach the internet or the
    registries."""


STACK_NAME: typing.Final = shape(
    r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$",
    "must be organization/project/stack, for example acme/platform/prod (organization, in a bucket or a folder)",
)


class ExistingStack(Section):
    """The key that may replace a cluster's ids in a file; reading the ids removes it."""

    stack: str | None = pydantic.Field(default=None, pattern=STACK_NAME)
    """Another Pulumi stack. Each required key below that is absent comes from that stack's output of the same name."""


def _or_a_stack(schema: dict[str, typing.Any]) -> None:
    """Let ``stack`` stand in for the required keys, as ``optimal_tp.account.stack_outputs`` does."""
    schema["properties"] = {"stack": {"type": "string", "pattern": STACK_NAME}, **schema["properties"]}
    schema["anyOf"] = [{"required": ["stack"]}, {"required": schema.pop("required")}]


class ExistingCluster(Section):
    """An existing EKS cluster with Karpenter, the Neuron chart and the EFS CSI driver, used in place of a new one.

    With ``stack: organization/project/stack`` beside these keys, each required key that is absent comes from that
    stack's output of the same name.
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
    """Path of a kubeconfig; absent: the environment's."""
    context: str | None = None
    """Context in that kubeconfig; absent: its current one."""
    file_system_id: str = pydantic.Field(
        pattern=shape(r"^fs-[0-9a-f]+$", "must be the id of an EFS file system, for example fs-0123456789abcdef0")
    )
    """EFS file system with a mount target in every zone of ``neuron.zones``; the program adds an access point to it."""
    subnet_ids: tuple[SubnetId, ...] = pydantic.Field(min_length=1)
    """Subnets of the Neuron nodes."""
    security_group_ids: tuple[SecurityGroupId, ...] = pydantic.Field(min_length=1)
    """Security groups of the Neuron nodes; usually the cluster's own."""
    instance_profile: str = pydantic.Field(min_length=1, max_length=128)
    """Instance profile of the Neuron nodes; its role must have an access entry of type EC2_LINUX."""

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
