"""Rights within the experiment's namespace: a Role, and the service account that has it."""

import collections.abc

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict, Role, RoleBinding, RoleRefArgs, SubjectArgs


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
