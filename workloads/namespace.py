"""Rights in the experiment's namespace and to its nodes, and the service accounts that have them."""

import collections.abc
import dataclasses
import json
import typing

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding
from pulumi_kubernetes.core.v1 import ConfigMap, ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgsDict,
    Role,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from workloads.manifests import nodes, rights
from workloads.manifests.bundle import CodeConfigMap

MADE: typing.Final = {"pulumi.com/waitFor": "jsonpath={.metadata.uid}"}
"""Annotation of objects that `up` creates without waiting: they are ready as soon as they exist. Unlike with skipAwait,
Pulumi still waits for the end of a deletion or replacement (pulumi-kubernetes 4.34, metadata.DeletedCondition)."""


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


def grant_nodes(
    name: str,
    account: ServiceAccount,
    *,
    namespace: str,
    account_name: str,
    limit: pulumi.Resource,
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Let ``account`` see Karpenter's nodes and remove those that the policy ``limit`` allows."""
    opts = pulumi.ResourceOptions(parent=opts.parent, depends_on=[limit])
    # It belongs to no namespace, so its name must distinguish it from another stack's.
    meta = ObjectMetaArgs(name=f"{namespace}-{account_name}-gives-nodes-back")
    role = ClusterRole(name, metadata=meta, rules=nodes.rules(), opts=opts)
    binding = ClusterRoleBinding(
        name,
        metadata=meta,
        role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role.metadata.name),
        subjects=[SubjectArgs(kind="ServiceAccount", name=account.metadata.name, namespace=namespace)],
        opts=opts,
    )
    return [role, binding]


class OwnNodes(pulumi.ComponentResource):
    """The limit of the right to remove nodes. Children: ``<name>-policy`` and ``<name>-binding``.

    Takes its Kubernetes provider from ``opts``. Grants of the right must depend on this component.
    """

    def __init__(
        self,
        name: str,
        *,
        namespace: str,
        pool: str,
        accounts: collections.abc.Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("optimal-tp:workloads:OwnNodes", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        meta = ObjectMetaArgs(name=f"{namespace}-gives-back-its-own-nodes")
        policy = ValidatingAdmissionPolicy(
            f"{name}-policy",
            metadata=meta,
            spec=nodes.policy_spec(pool, namespace=namespace, accounts=accounts),
            opts=child,
        )
        ValidatingAdmissionPolicyBinding(
            f"{name}-binding",
            metadata=meta,
            spec=policy.metadata.name.apply(nodes.binding_spec),
            opts=child,
        )
        self.register_outputs({})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """The cluster's OIDC provider, for service accounts that take IAM roles."""

    provider_arn: pulumi.Input[str]
    issuer: pulumi.Input[str]
    """Without the scheme."""
    partition: str
    tags: collections.abc.Mapping[str, str]
    """Tags on every AWS resource of the experiment."""
    boundary: str | None
    """ARN of the permissions boundary of every role."""

    def trust(self, *, namespace: str, service_account: str) -> pulumi.Output[str]:
        """Return the trust document of a role that only this service account may assume, as JSON."""
        return pulumi.Output.all(self.provider_arn, self.issuer).apply(
            lambda known: json.dumps(
                rights.account_trust(
                    provider_arn=known[0], issuer=known[1], namespace=namespace, service_account=service_account
                )
            )
        )


def config_maps(
    name: str, made: collections.abc.Sequence[CodeConfigMap], namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> list[ConfigMap]:
    """Create one ConfigMap per part, ``<name>-<number>``; immutable, so that new content makes a new object."""
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
