"""IAM resources. They cost nothing, but a role that is left still grants access."""

import typing

from optimal_tp.account.changes import call
from optimal_tp.account.leftovers import questions
from optimal_tp.account.leftovers.kinds import Kind, Leftover
from optimal_tp.account.leftovers.scope import KindSearch, Scope, is_made_of
from optimal_tp.account.questions import pairs, tags_of

ROLES: typing.Final = (
    *("cluster-nodes", "cluster-efs-driver", "karpenter-node", "karpenter-controller", "network-flow-logs"),
    *("loadgen-role", "artifacts-fetch-role", "cluster-control-plane"),
)
"""Logical names of our roles. IAM lists roles without their tags, so tags are read only for roles with these names."""
CONTROL_PLANE_ROLE: typing.Final = "cluster-control-plane-eksRole"
"""The role that the cluster component itself creates, without our tags."""
POLICIES: typing.Final = (
    *("karpenter-node-lifecycle", "karpenter-iam-integration", "karpenter-eks-integration", "karpenter-interruption"),
    *("karpenter-zonal-shift", "karpenter-resource-discovery"),
)
PROFILE: typing.Final = "karpenter-node"


def _profiles(scope: Scope, look: KindSearch) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    # Karpenter makes profiles below this path where a node class names a role (Karpenter 1.14, instance profiles).
    path = f"/karpenter/{scope.region}/{scope.cluster_name}/"
    found = [
        each
        for each in look(questions.PROFILES)
        if each["Path"].startswith(path)
        or (
            is_made_of(each["InstanceProfileName"], PROFILE) and _owns_profile(each["InstanceProfileName"], scope, look)
        )
    ]
    return [
        Leftover(
            kind="instance profile",
            name=each["InstanceProfileName"],
            steps=(
                *(
                    call(
                        "iam",
                        "remove_role_from_instance_profile",
                        InstanceProfileName=each["InstanceProfileName"],
                        RoleName=role["RoleName"],
                    )
                    for role in each["Roles"]
                ),
                call("iam", "delete_instance_profile", InstanceProfileName=each["InstanceProfileName"]),
            ),
        )
        for each in found
    ]


def _owns_profile(name: str, scope: Scope, look: KindSearch) -> bool:
    """Return whether a profile has our tags, which the list of profiles leaves out."""
    return any(scope.owns(tags_of(each), look) for each in look(questions.PROFILE, InstanceProfileName=name))


def _roles(scope: Scope, look: KindSearch) -> list[Leftover]:
    names = [each["RoleName"] for each in look(questions.ROLES)]
    ours = [
        name
        for name in names
        if any(is_made_of(name, logical) for logical in ROLES)
        and scope.owns(pairs(look(questions.ROLE_TAGS, RoleName=name)), look)
    ]
    nameless = [name for name in names if scope.makes_cluster and name.startswith(f"{CONTROL_PLANE_ROLE}-")]
    spared = "it has no tags and may belong to another stack in this account with the same name"
    return [_role(name, look) for name in ours] + [_role(name, look, spared=spared) for name in nameless]


def _role(name: str, look: KindSearch, *, spared: str | None = None) -> Leftover:
    attached = [each["PolicyArn"] for each in look(questions.ATTACHED, RoleName=name)]
    return Leftover(
        kind="IAM role",
        name=name,
        spared=spared,
        steps=(
            *(call("iam", "detach_role_policy", RoleName=name, PolicyArn=arn) for arn in attached),
            *(
                call("iam", "delete_role_policy", RoleName=name, PolicyName=policy)
                for policy in look(questions.INLINE, RoleName=name)
            ),
            call("iam", "delete_role", RoleName=name),
        ),
    )


def _policies(scope: Scope, look: KindSearch) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    arns = [
        each["Arn"]
        for each in look(questions.POLICIES, Scope="Local")
        if any(is_made_of(each["PolicyName"], logical) for logical in POLICIES)
        and scope.owns(pairs(look(questions.POLICY_TAGS, PolicyArn=each["Arn"])), look)
    ]
    return [
        Leftover(
            kind="IAM policy",
            name=arn,
            steps=(
                *(
                    call("iam", "delete_policy_version", PolicyArn=arn, VersionId=version["VersionId"])
                    for version in look(questions.POLICY_VERSIONS, PolicyArn=arn)
                    # The default one goes with the policy.
                    if not version["IsDefaultVersion"]
                ),
                call("iam", "delete_policy", PolicyArn=arn),
            ),
        )
        for arn in arns
    ]


def _issuers(scope: Scope, look: KindSearch) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    arns = [
        each["Arn"]
        for each in look(questions.ISSUERS)
        if f"/oidc.eks.{scope.region}." in each["Arn"]
        and scope.owns(pairs(look(questions.ISSUER_TAGS, OpenIDConnectProviderArn=each["Arn"])), look)
    ]
    return [
        Leftover(
            kind="OIDC provider",
            name=arn,
            steps=(call("iam", "delete_open_id_connect_provider", OpenIDConnectProviderArn=arn),),
        )
        for arn in arns
    ]


IDENTITY: typing.Final = (
    Kind(
        name="instance profile",
        look=_profiles,
        asks=(questions.PROFILES, questions.PROFILE),
        rights=("iam:DeleteInstanceProfile", "iam:RemoveRoleFromInstanceProfile"),
    ),
    # AWS refuses to delete a role in an instance profile, and a policy on a role.
    Kind(
        name="IAM role",
        look=_roles,
        asks=(questions.ROLES, questions.ROLE_TAGS, questions.ATTACHED, questions.INLINE),
        rights=("iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy"),
    ),
    Kind(
        name="IAM policy",
        look=_policies,
        asks=(questions.POLICIES, questions.POLICY_TAGS, questions.POLICY_VERSIONS),
        rights=("iam:DeletePolicy", "iam:DeletePolicyVersion"),
    ),
    Kind(
        name="OIDC provider",
        look=_issuers,
        asks=(questions.ISSUERS, questions.ISSUER_TAGS),
        rights=("iam:DeleteOpenIDConnectProvider",),
    ),
)
