"""IAM roles: all roles of the infrastructure are created here, with the settings' boundary and tags."""

import collections.abc
import json
import typing

import pulumi
import pulumi_aws as aws

from infra.policies import Document


class Bounded(typing.Protocol):
    """Arguments of a component that creates roles."""

    @property
    def boundary(self) -> str | None:
        """ARN of the permissions boundary of every role; None: no boundary."""

    @property
    def tags(self) -> collections.abc.Mapping[str, str]:
        """Tags of every role."""


def role(parent: pulumi.Resource, name: str, description: str, trust: Document, args: Bounded) -> aws.iam.Role:
    """Create a role under ``parent`` that the principals in ``trust`` may assume."""
    return aws.iam.Role(
        name,
        description=description,
        assume_role_policy=json.dumps(trust),
        permissions_boundary=args.boundary,
        tags=dict(args.tags),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def attach(
    parent: pulumi.Resource, name: str, role: aws.iam.Role, policy_arns: collections.abc.Sequence[str]
) -> list[pulumi.Resource]:
    """Attach AWS's managed policies to ``role``, under ``parent``; return the attachments for others to depend on."""
    return [
        aws.iam.RolePolicyAttachment(
            f"{name}-{arn.rsplit('/', maxsplit=1)[-1]}",
            role=role.name,
            policy_arn=arn,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        for arn in policy_arns
    ]
