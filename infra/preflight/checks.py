"""All checks in order: what is asked, and which pure check judges the answer."""

import datetime as dt

from infra.account import questions
from infra.account.questions import Ask, exactly
from infra.preflight import launching, making
from infra.preflight.rows import Row
from infra.settings import InfraSettings


def checks(settings: InfraSettings, ask: Ask, *, now: dt.datetime, aws_command: str | None) -> list[Row]:
    """Return a row for each check of ``settings``; ``aws_command`` is the path of the command, None if there is none.

    ``now`` has a time zone.
    """
    return [
        *_launching(settings, ask, now),
        *_making(settings, ask, now.date()),
        making.command(aws_command),
    ]


def _launching(settings: InfraSettings, ask: Ask, now: dt.datetime) -> list[Row]:
    neuron = settings.neuron
    kind = [{"Name": "instance-type", "Values": [neuron.instance_type]}]
    offered = ask(questions.OFFERINGS, LocationType="availability-zone", Filters=kind)
    rows = launching.offering(neuron, settings.region, offered)
    for capacity in neuron.capacity_types:
        # What is reserved has its quota already.
        if capacity in launching.QUOTAS:
            answer = ask(questions.QUOTA, ServiceCode="ec2", QuotaCode=launching.QUOTAS[capacity])
            rows.append(launching.quota(neuron, capacity, answer))
    reserved = {
        name: ask(questions.RESERVATIONS, CapacityReservationIds=[name])
        for name in neuron.reservation_ids
        if name != launching.EXAMPLE_RESERVATION
    }
    rows += launching.reservations(neuron, {**dict.fromkeys(neuron.reservation_ids, ()), **reserved}, now)
    wanted = {"instanceType": neuron.instance_type, "regionCode": settings.region}
    matches = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    records = ask(questions.PRICES, ServiceCode="AmazonEC2", Filters=matches)
    return [*rows, launching.price(neuron, records)]


def _making(settings: InfraSettings, ask: Ask, today: dt.date) -> list[Row]:
    neuron, minor = settings.neuron, settings.kubernetes
    parameter = ask(questions.PARAMETER, Name=making.ami_parameter(neuron, minor))
    rows = [making.pair(neuron), making.ami(neuron, minor, parameter)]
    if settings.existing is not None:
        return rows
    offered = ask(questions.VERSIONS, clusterVersions=[minor])
    rows.append(making.kubernetes(minor, offered, today))
    for addon, version in making.wanted_versions(settings).items():
        answer = ask(questions.ADDON_VERSIONS, addonName=addon, kubernetesVersion=minor)
        rows.append(making.addon(addon, version, minor, answer))
    name, region = settings.cluster_name, f"--region {settings.region}"
    cluster = ask(questions.CLUSTER, name=name)
    remove = f"aws eks delete-cluster {region} --name {name}"
    rows.append(making.name_free("the cluster", name, cluster, remove))
    group = f"/aws/eks/{name}/cluster"
    groups = exactly(ask(questions.LOG_GROUPS, logGroupNamePrefix=group), "logGroupName", group)
    remove = f"aws logs delete-log-group {region} --log-group-name {group}"
    rows.append(making.name_free("the log group", group, groups, remove))
    return [*rows, *making.networks(settings)]
