"""Clusters, nodes and what hangs on them: the dearest leftovers."""

import collections.abc
import itertools
import typing

from infra.account.questions import Question
from infra.account.step import Step
from infra.leftovers import questions
from infra.leftovers.findings import Kind, Leftover, Look, pairs, state_of
from infra.leftovers.prices import BALANCER, CLASSIC_BALANCER, HOURS_PER_MONTH, SNAPSHOT_GB, VOLUME_GB, Price
from infra.leftovers.scope import Scope, distinct
from infra.prices import HourPrice

Entry = collections.abc.Mapping[str, typing.Any]
_TAGS_AT_ONCE = 20
"""Most load balancers whose tags one call tells (DescribeTags)."""


def monthly(price: HourPrice) -> Price:
    """Return what a month costs at ``price``."""
    return Price(usd_per_month=price.usd_per_hour * HOURS_PER_MONTH, source=price.source, date=price.date)


def _balancers(scope: Scope, look: Look) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    tagged = _balancer_tags([each["LoadBalancerArn"] for each in look(questions.BALANCERS)], look)
    return [
        Leftover(
            kind="load balancer",
            name=arn,
            bills=True,
            price=BALANCER,
            steps=(Step(service="elbv2", operation="delete_load_balancer", parameters={"LoadBalancerArn": arn}),),
        )
        for arn, tags in tagged.items()
        if scope.balances_for(tags)
    ]


def _target_groups(scope: Scope, look: Look) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    tagged = _balancer_tags([each["TargetGroupArn"] for each in look(questions.TARGET_GROUPS)], look)
    return [
        Leftover(
            kind="target group",
            name=arn,
            steps=(Step(service="elbv2", operation="delete_target_group", parameters={"TargetGroupArn": arn}),),
        )
        for arn, tags in tagged.items()
        if scope.balances_for(tags)
    ]


def _balancer_tags(arns: list[str], look: Look) -> dict[str, dict[str, str]]:
    chunks = [arns[start : start + _TAGS_AT_ONCE] for start in range(0, len(arns), _TAGS_AT_ONCE)]
    told = [each for chunk in chunks for each in look(questions.BALANCER_TAGS, ResourceArns=chunk)]
    return {each["ResourceArn"]: pairs(each["Tags"]) for each in told}


def _classic_balancers(scope: Scope, look: Look) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    names = [each["LoadBalancerName"] for each in look(questions.CLASSIC_BALANCERS)]
    chunks = [names[start : start + _TAGS_AT_ONCE] for start in range(0, len(names), _TAGS_AT_ONCE)]
    told = [each for chunk in chunks for each in look(questions.CLASSIC_BALANCER_TAGS, LoadBalancerNames=chunk)]
    return [
        Leftover(
            kind="classic load balancer",
            name=each["LoadBalancerName"],
            bills=True,
            price=CLASSIC_BALANCER,
            steps=(
                Step(
                    service="elb",
                    operation="delete_load_balancer",
                    parameters={"LoadBalancerName": each["LoadBalancerName"]},
                ),
            ),
        )
        for each in told
        if scope.balances_for(pairs(each["Tags"]))
    ]


def _node_groups(scope: Scope, look: Look) -> list[Leftover]:
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
            steps=(
                Step(
                    service="eks",
                    operation="delete_nodegroup",
                    parameters={"clusterName": cluster, "nodegroupName": name},
                ),
            ),
        )
        for name, entries in named
        for entry in entries
    ]


def _groups(scope: Scope, look: Look) -> tuple[str, ...]:
    """Return the names of the cluster's node groups; without the cluster there are none."""
    name = scope.cluster_name
    return look(questions.NODE_GROUPS, clusterName=name) if look(questions.CLUSTER, name=name) else ()


def _instances(scope: Scope, look: Look) -> list[Leftover]:
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
            steps=_ec2("terminate_instances", InstanceIds=[each["InstanceId"]]),
        )
        for each in found
        if state_of(each) != "terminated"
    ]


def _price_of_type(scope: Scope, instance_type: str) -> Price | None:
    settings = scope.settings
    if instance_type == settings.neuron.instance_type:
        return monthly(settings.neuron.price)
    if instance_type == settings.system_nodes.instance_type and scope.makes_cluster:
        return monthly(settings.prices.system_node)
    return None


def _clusters(scope: Scope, look: Look) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    return [
        Leftover(
            kind="cluster",
            name=each["name"],
            bills=True,
            price=monthly(scope.settings.prices.control_plane),
            is_going=state_of(each, "status") == "DELETING",
            steps=(Step(service="eks", operation="delete_cluster", parameters={"name": each["name"]}),),
        )
        for each in look(questions.CLUSTER, name=scope.cluster_name)
    ]


def _volumes(scope: Scope, look: Look) -> list[Leftover]:
    return [
        Leftover(
            kind="volume",
            name=each["VolumeId"],
            bills=True,
            price=VOLUME_GB.times(each["Size"]) if each.get("VolumeType") == "gp3" else None,
            is_going=state_of(each) == "deleting",
            steps=_ec2("delete_volume", VolumeId=each["VolumeId"]),
        )
        for each in _searched(scope, look, questions.VOLUMES, "VolumeId")
        if state_of(each) != "deleted"
    ]


def _snapshots(scope: Scope, look: Look) -> list[Leftover]:
    searches = scope.searches(look)
    found = [each for search in searches for each in look(questions.SNAPSHOTS, OwnerIds=["self"], Filters=search)]
    return [
        Leftover(
            kind="snapshot",
            name=each["SnapshotId"],
            bills=True,
            # What it shares with an earlier one is billed once, and nobody says how much that is.
            price=SNAPSHOT_GB.times(each["VolumeSize"]) if each.get("StorageTier", "standard") == "standard" else None,
            is_at_most=True,
            steps=_ec2("delete_snapshot", SnapshotId=each["SnapshotId"]),
        )
        for each in distinct(found, "SnapshotId")
    ]


def _templates(scope: Scope, look: Look) -> list[Leftover]:
    return [
        Leftover(
            kind="launch template",
            name=each["LaunchTemplateId"],
            steps=_ec2("delete_launch_template", LaunchTemplateId=each["LaunchTemplateId"]),
        )
        for each in _searched(scope, look, questions.TEMPLATES, "LaunchTemplateId")
    ]


def _reservations(scope: Scope, look: Look) -> list[Leftover]:
    """Return the reservations of the settings: made outside the stack, they bill whether it is there or not."""
    named = [
        look(questions.RESERVATIONS, CapacityReservationIds=[each]) for each in scope.settings.neuron.reservation_ids
    ]
    # The program makes none, so nobody has to tell ours where there are no tags.
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
        # A Capacity Block is paid in advance, and nobody can give it back.
        bills=not is_paid,
        price=None if price is None or count is None else price.times(count),
        spared="it was made outside this stack",
        steps=() if is_paid else _ec2("cancel_capacity_reservation", CapacityReservationId=id_),
    )


def _searched(scope: Scope, look: Look, question: Question, key: str) -> list[typing.Any]:
    return distinct((each for search in scope.searches(look) for each in look(question, Filters=search)), key)


def _ec2(operation: str, **parameters: object) -> tuple[Step]:
    return (Step(service="ec2", operation=operation, parameters=parameters),)


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
    # A node group brings back what is terminated, and Karpenter, on its nodes, launches more: it goes first.
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
