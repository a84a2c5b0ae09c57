"""Clusters, nodes, load balancers and volumes: the most expensive leftovers."""

import collections.abc
import itertools
import typing

from optimal_tp.account.changes import call
from optimal_tp.account.leftovers import questions
from optimal_tp.account.leftovers.kinds import Kind, Leftover, state_of
from optimal_tp.account.leftovers.monthly_prices import (
    BALANCER,
    CLASSIC_BALANCER,
    SNAPSHOT_GB,
    VOLUME_GB,
    MonthlyPrice,
    monthly,
)
from optimal_tp.account.leftovers.scope import KindSearch, Scope, distinct, searched
from optimal_tp.account.questions import Question, pairs

Entry = collections.abc.Mapping[str, typing.Any]
_TAGS_AT_ONCE = 20
"""Most load balancers whose tags one call returns (DescribeTags)."""


def _balancers(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(
            kind="load balancer",
            name=arn,
            bills=True,
            price=BALANCER,
            steps=(call("elbv2", "delete_load_balancer", LoadBalancerArn=arn),),
        )
        for arn in _balancing(scope, look, questions.BALANCERS, "LoadBalancerArn")
    ]


def _target_groups(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(kind="target group", name=arn, steps=(call("elbv2", "delete_target_group", TargetGroupArn=arn),))
        for arn in _balancing(scope, look, questions.TARGET_GROUPS, "TargetGroupArn")
    ]


def _balancing(scope: Scope, look: KindSearch, question: Question, key: str) -> list[str]:
    """Return the ARNs of what ``question`` finds and the cluster's tag marks as ours."""
    if not scope.makes_cluster:
        return []
    told = _tags_of(look, questions.BALANCER_TAGS, "ResourceArns", [each[key] for each in look(question)])
    return [each["ResourceArn"] for each in told if scope.balances_for(pairs(each["Tags"]))]


def _tags_of(look: KindSearch, question: Question, word: str, names: list[str]) -> list[typing.Any]:
    """Return the tags of ``names``, read in as few calls as possible; ``word`` is the parameter for the names."""
    chunks = [names[start : start + _TAGS_AT_ONCE] for start in range(0, len(names), _TAGS_AT_ONCE)]
    return [each for chunk in chunks for each in look(question, **{word: chunk})]


def _classic_balancers(scope: Scope, look: KindSearch) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    names = [each["LoadBalancerName"] for each in look(questions.CLASSIC_BALANCERS)]
    told = _tags_of(look, questions.CLASSIC_BALANCER_TAGS, "LoadBalancerNames", names)
    return [
        Leftover(
            kind="classic load balancer",
            name=each["LoadBalancerName"],
            bills=True,
            price=CLASSIC_BALANCER,
            steps=(call("elb", "delete_load_balancer", LoadBalancerName=each["LoadBalancerName"]),),
        )
        for each in told
        if scope.balances_for(pairs(each["Tags"]))
    ]


def _node_groups(scope: Scope, look: KindSearch) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    cluster = scope.cluster_name
    named = [
        (name, look(questions.NODE_GROUP, clusterName=cluster, nodegroupName=name)) for name in _groups(scope, look)
    ]
    return [
        Leftover(
            # Its instances are listed, and bill, by themselves.
            kind="node group",
            name=name,
            is_going=state_of(entry, "status") == "DELETING",
            steps=(call("eks", "delete_nodegroup", clusterName=cluster, nodegroupName=name),),
        )
        for name, entries in named
        for entry in entries
    ]


def _groups(scope: Scope, look: KindSearch) -> tuple[str, ...]:
    """Return the names of the cluster's node groups; without the cluster there are none."""
    name = scope.cluster_name
    return look(questions.NODE_GROUPS, clusterName=name) if look(questions.CLUSTER, name=name) else ()


def _instances(scope: Scope, look: KindSearch) -> list[Leftover]:
    reservations = [each for search in scope.searches(look) for each in look(questions.INSTANCES, Filters=search)]
    found = distinct((each for reservation in reservations for each in reservation["Instances"]), "InstanceId")
    return [
        Leftover(
            kind="instance",
            name=each["InstanceId"],
            # A stopped one bills for its volumes alone, which are listed by themselves.
            bills=state_of(each) != "stopped",
            price=_price_of_type(scope, each.get("InstanceType", "")),
            is_going=state_of(each) == "shutting-down",
            steps=(call("ec2", "terminate_instances", InstanceIds=[each["InstanceId"]]),),
        )
        for each in found
        if state_of(each) != "terminated"
    ]


def _price_of_type(scope: Scope, instance_type: str) -> MonthlyPrice | None:
    settings = scope.settings
    if instance_type == settings.neuron.instance_type:
        return monthly(settings.neuron.price)
    if instance_type == settings.system_nodes.instance_type and scope.makes_cluster:
        return monthly(settings.prices.system_node)
    return None


def _clusters(scope: Scope, look: KindSearch) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    return [
        Leftover(
            kind="cluster",
            name=each["name"],
            bills=True,
            price=monthly(scope.settings.prices.control_plane),
            is_going=state_of(each, "status") == "DELETING",
            steps=(call("eks", "delete_cluster", name=each["name"]),),
        )
        for each in look(questions.CLUSTER, name=scope.cluster_name)
    ]


def _volumes(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(
            kind="volume",
            name=each["VolumeId"],
            bills=True,
            price=VOLUME_GB.times(each["Size"]) if each.get("VolumeType") == "gp3" else None,
            is_going=state_of(each) == "deleting",
            steps=(call("ec2", "delete_volume", VolumeId=each["VolumeId"]),),
        )
        for each in searched(look, questions.VOLUMES, "VolumeId", scope.searches(look))
        if state_of(each) != "deleted"
    ]


def _snapshots(scope: Scope, look: KindSearch) -> list[Leftover]:
    searches = scope.searches(look)
    return [
        Leftover(
            kind="snapshot",
            name=each["SnapshotId"],
            bills=True,
            # Blocks that it shares with an earlier one are billed once, and AWS does not say how many they are.
            price=SNAPSHOT_GB.times(each["VolumeSize"]) if each.get("StorageTier", "standard") == "standard" else None,
            is_at_most=True,
            steps=(call("ec2", "delete_snapshot", SnapshotId=each["SnapshotId"]),),
        )
        for each in searched(look, questions.SNAPSHOTS, "SnapshotId", searches, OwnerIds=["self"])
    ]


def _templates(scope: Scope, look: KindSearch) -> list[Leftover]:
    return [
        Leftover(
            kind="launch template",
            name=each["LaunchTemplateId"],
            steps=(call("ec2", "delete_launch_template", LaunchTemplateId=each["LaunchTemplateId"]),),
        )
        for each in searched(look, questions.TEMPLATES, "LaunchTemplateId", scope.searches(look))
    ]


def _reservations(scope: Scope, look: KindSearch) -> list[Leftover]:
    """Return the reservations in the settings: made outside the stack, they bill with or without it."""
    named = [
        look(questions.RESERVATIONS, CapacityReservationIds=[each]) for each in scope.settings.neuron.reservation_ids
    ]
    # The program creates no reservations, so no tags are needed to recognize ours.
    own = look(questions.RESERVATIONS, Filters=scope.tag_filters(look)) if scope.settings.tags else ()
    found = distinct(itertools.chain(*named, own), "CapacityReservationId")
    over = ("expired", "cancelled", "failed", "payment-failed")
    return [_reservation(scope, each) for each in found if state_of(each) not in over]


def _reservation(scope: Scope, entry: Entry) -> Leftover:
    is_paid = entry.get("ReservationType") == "capacity-block"
    id_, count = entry["CapacityReservationId"], entry.get("TotalInstanceCount")
    price = _price_of_type(scope, entry.get("InstanceType", ""))
    return Leftover(
        kind="capacity reservation",
        name=id_,
        # A Capacity Block is paid in advance and cannot be returned.
        bills=not is_paid,
        price=None if price is None or count is None else price.times(count),
        spared="it was made outside this stack",
        steps=() if is_paid else (call("ec2", "cancel_capacity_reservation", CapacityReservationId=id_),),
    )


BALANCING: typing.Final = (
    Kind(
        name="load balancer",
        look=_balancers,
        asks=(questions.BALANCERS, questions.BALANCER_TAGS),
        rights=("elasticloadbalancing:DeleteLoadBalancer",),
        patience_seconds=120,
    ),
    Kind(
        name="target group",
        look=_target_groups,
        asks=(questions.TARGET_GROUPS, questions.BALANCER_TAGS),
        rights=("elasticloadbalancing:DeleteTargetGroup",),
    ),
    Kind(
        name="classic load balancer",
        look=_classic_balancers,
        asks=(questions.CLASSIC_BALANCERS, questions.CLASSIC_BALANCER_TAGS),
        rights=("elasticloadbalancing:DeleteLoadBalancer",),
        patience_seconds=120,
    ),
)
MACHINES: typing.Final = (
    # Remove node groups first: they replace terminated instances, and Karpenter, which runs on them, launches more.
    Kind(
        name="node group",
        look=_node_groups,
        asks=(questions.CLUSTER, questions.NODE_GROUPS, questions.NODE_GROUP),
        rights=("eks:DeleteNodegroup",),
        patience_seconds=1200,
    ),
    Kind(
        name="instance",
        look=_instances,
        asks=(questions.INSTANCES,),
        rights=("ec2:TerminateInstances",),
        patience_seconds=900,
    ),
    Kind(
        name="cluster",
        look=_clusters,
        asks=(questions.CLUSTER,),
        rights=("eks:DeleteCluster",),
        patience_seconds=1200,
    ),
    Kind(name="volume", look=_volumes, asks=(questions.VOLUMES,), rights=("ec2:DeleteVolume",)),
    Kind(name="snapshot", look=_snapshots, asks=(questions.SNAPSHOTS,), rights=("ec2:DeleteSnapshot",)),
    Kind(name="launch template", look=_templates, asks=(questions.TEMPLATES,), rights=("ec2:DeleteLaunchTemplate",)),
    Kind(name="capacity reservation", look=_reservations, asks=(questions.RESERVATIONS,), rights=()),
)
