"""Rights within the experiment's namespace: a Role, and the service account that has it."""

import collections.abc
import dataclasses
import json

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap, ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict, Role, RoleBinding, RoleRefArgs, SubjectArgs

from workloads.manifests import rights
from workloads.manifests.bundle import Part


def grant(
    name: str,
    meta: ObjectMetaArgs,
    rules: collections.abc.Sequence[PolicyRuleArgsDict],
    account: ServiceAccount,
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Give ``account`` the ``rules``; ``meta`` names both objects and their namespace, ``name`` both resources."""
    role = Role(name, metadata=meta, rules=rules, opts=opts)
    binding = RoleBinding(
        name,
        metadata=meta,
        role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=role.metadata.name),
        subjects=[SubjectArgs(kind="ServiceAccount", name=account.metadata.name, namespace=meta.namespace)],
        opts=opts,
    )
    return [role, binding]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """The cluster's OIDC provider, for service accounts that take IAM roles."""

    provider_arn: pulumi.Input[str]
    issuer: pulumi.Input[str]
    """Without the scheme."""
    partition: str
    tags: collections.abc.Mapping[str, str]
    """On every AWS resource of the experiment."""
    boundary: str | None
    """ARN of the permissions boundary of every role."""

    def trust(self, *, namespace: str, service_account: str) -> pulumi.Output[str]:
        """Return the trust document of a role that this service account alone may take, as JSON."""
        return pulumi.Output.all(self.provider_arn, self.issuer).apply(
            lambda known: json.dumps(
                rights.account_trust(
                    provider_arn=known[0], issuer=known[1], namespace=namespace, service_account=service_account
                )
            )
        )


def config_maps(
    name: str, made: collections.abc.Sequence[Part], namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> list[ConfigMap]:
    """Make one ConfigMap per part, ``<name>-<number>``; immutable, so that another content is another object."""
    return [
        ConfigMap(
            f"{name}-{number}",
            metadata={"name": part.name, "namespace": namespace},
            data=part.data,
            immutable=True,
            opts=opts,
        )
        for number, part in enumerate(made)
    ]
