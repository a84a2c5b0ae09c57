"""The right to remove Neuron nodes: an RBAC rule, and an admission policy for what RBAC cannot express."""

import collections.abc
import typing

from optimal_tp.pods.kubernetes import POOL_LABEL

if typing.TYPE_CHECKING:
    from pulumi_kubernetes.admissionregistration.v1 import (
        ValidatingAdmissionPolicyBindingSpecArgsDict,
        ValidatingAdmissionPolicySpecArgsDict,
    )
    from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict


def rules() -> "list[PolicyRuleArgsDict]":
    """Return the right to see and remove Karpenter's nodes, which have no namespace and no names known in advance.

    So this is a right to every node of the cluster; ``policy_spec`` narrows it.
    """
    return [{"api_groups": ["karpenter.sh"], "resources": ["nodeclaims"], "verbs": ["list", "delete"]}]


def policy_spec(
    pool: str, *, namespace: str, accounts: collections.abc.Iterable[str]
) -> "ValidatingAdmissionPolicySpecArgsDict":
    """Return a policy that refuses the service ``accounts`` of ``namespace`` all nodes outside ``pool``."""
    users = ", ".join(f"'system:serviceaccount:{namespace}:{account}'" for account in sorted(accounts))
    labels = "oldObject.metadata.labels"
    of_pool = f"has({labels}) && '{POOL_LABEL}' in {labels} && {labels}['{POOL_LABEL}'] == '{pool}'"
    return {
        "failure_policy": "Fail",
        "match_constraints": {
            "resource_rules": [
                {
                    "api_groups": ["karpenter.sh"],
                    "api_versions": ["*"],
                    "operations": ["DELETE"],
                    "resources": ["nodeclaims"],
                }
            ]
        },
        "match_conditions": [{"name": "ours", "expression": f"request.userInfo.username in [{users}]"}],
        "validations": [
            {
                "expression": of_pool,
                "message": f"only nodes of the NodePool {pool} may be given back",
                "reason": "Forbidden",
            }
        ],
    }


def binding_spec(policy: str) -> "ValidatingAdmissionPolicyBindingSpecArgsDict":
    """Return the binding that enforces ``policy`` everywhere."""
    return {"policy_name": policy, "validation_actions": ["Deny"]}
