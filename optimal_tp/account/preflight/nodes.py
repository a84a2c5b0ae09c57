"""Whether the nodes can be launched: what is asked of AWS about place, reservation, quota and price. Pure."""

import dataclasses
import typing

from optimal_tp.account import questions
from optimal_tp.account.preflight import launching, limits, quotas, reservations
from optimal_tp.account.preflight.context import Scene
from optimal_tp.account.preflight.rows import Row
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.settings import sizing
from optimal_tp.settings.prices import HourPrice

_ALIVE: typing.Final = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]


def rows(scene: Scene) -> list[Row]:
    """Return a row for each check of Neuron and system nodes."""
    settings = scene.settings
    neuron = settings.neuron
    alive = limits.instances(scene.ask(questions.INSTANCES, Filters=_ALIVE))
    found = [_offered(scene, neuron.instance_type, neuron.zones, "infra.neuron.zones")]
    if settings.existing is None:
        found.append(_offered(scene, settings.system_nodes.instance_type, settings.zones, "infra.zones"))
    answers = _reservations(scene)
    reserved, held = _reserved(scene, alive, answers)
    found += [*held, *_quotas(scene, alive, reserved, reservations.unused(answers.values()))]
    vcpus = sizing.system_node_vcpus(settings)
    if vcpus is not None and limits.family(settings.system_nodes.instance_type) in limits.STANDARD_FAMILIES:
        used = limits.vcpus_in_use(
            alive, limits.STANDARD_FAMILIES, spot=False, except_cluster=scene.settings.physical_name
        )
        allowed = quotas.allowed(scene, limits.STANDARD)
        found.append(limits.room(limits.STANDARD, allowed, used, sum(vcpus), region=settings.region))
    records = _records(scene, instanceType=neuron.instance_type, **_PLAIN)
    found.append(launching.gate(neuron, records, own_karpenter=settings.existing is None))
    found.append(launching.price(neuron.instance_type, "infra.neuron.price", neuron.price, records))
    return [*found, *(_prices_around(scene) if settings.existing is None else [])]


def _offered(scene: Scene, instance_type: str, zones: tuple[str, ...], key: str) -> Row:
    kind = [{"Name": "instance-type", "Values": [instance_type]}]
    answer = scene.ask(questions.OFFERINGS, LocationType="availability-zone", Filters=kind)
    return launching.offering(instance_type, zones, answer, region=scene.settings.region, key=key)


def _reservations(scene: Scene) -> dict[str, Answer]:
    return {
        name: () if name == reservations.EXAMPLE else scene.ask(questions.RESERVATIONS, CapacityReservationIds=[name])
        for name in scene.settings.neuron.reservation_ids
    }


def _reserved(scene: Scene, alive: Answer, answers: dict[str, Answer]) -> tuple[int | Unknown, list[Row]]:
    """Return how many reserved instances the plan may count on, and the rows of the reservations."""
    neuron = scene.settings.neuron
    found = reservations.reservations(neuron, scene.experiment, answers, scene.now)
    available = reservations.free(answers.values(), alive, scene.settings.physical_name)
    # Of a reservation that does not fit its own row says so; how much it holds is then of no use.
    if found and not any(row.state in ("wrong", "unknown") for row in found):
        found.append(reservations.enough(neuron, scene.experiment, available))
    elif found:
        available = 0
    return available, found


def _quotas(scene: Scene, alive: Answer, reserved: int | Unknown, unused: int | Unknown) -> list[Row]:
    """Return the vCPU quotas of what is not reserved. What is reserved on demand holds its quota, used or not.

    Where both on-demand and spot may be launched one of them is enough.
    """
    neuron, found = scene.settings.neuron, []
    nodes = scene.experiment.nodes - (0 if isinstance(reserved, Unknown) else min(reserved, scene.experiment.nodes))
    kinds = {"on-demand": limits.TRN_ON_DEMAND, "spot": limits.TRN_SPOT}
    for kind in neuron.capacity_types:
        if kind == "reserved":
            continue
        used = limits.vcpus_in_use(alive, limits.TRN, spot=kind == "spot", except_cluster=scene.settings.physical_name)
        if kind == "on-demand" and not isinstance(used, Unknown):
            used = unused if isinstance(unused, Unknown) else used + unused * neuron.hardware.vcpus
        needed = nodes * neuron.hardware.vcpus
        allowed = quotas.allowed(scene, kinds[kind])
        hint = "let fewer nodes be enough (infra.neuron.maximum_nodes)"
        found.append(limits.room(kinds[kind], allowed, used, needed, region=scene.settings.region, hint=hint))
    if any(row.state == "fine" for row in found):
        found = [dataclasses.replace(row, state="warning") if row.state == "wrong" else row for row in found]
    return found


_PLAIN: typing.Final = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
"""Attributes of an ordinary instance's hour; without them records of Windows and of dedicated hosts come too."""


def _records(scene: Scene, service: str = "AmazonEC2", **attributes: str) -> Answer:
    wanted = {"regionCode": scene.settings.region, **attributes}
    matches = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    return scene.ask(questions.PRICES, ServiceCode=service, Filters=matches)


def _prices_around(scene: Scene) -> list[Row]:
    """Hold the prices of what runs around the Neuron nodes against AWS's own."""
    settings = scene.settings
    own, system = settings.prices, settings.system_nodes.instance_type

    def row(what: str, key: str, told: HourPrice, records: Answer, usage: str = "") -> Row:
        return launching.price(what, f"infra.prices.{key}", told, records, usage=usage)

    found = [
        row(system, "system_node", own.system_node, _records(scene, instanceType=system, **_PLAIN)),
        row(
            "the control plane",
            "control_plane",
            own.control_plane,
            _records(scene, "AmazonEKS"),
            "AmazonEKS-Hours:perCluster",
        ),
    ]
    if sizing.nat_gateways(settings):
        records = _records(scene, group="NGW:NatGateway")
        found.append(row("a NAT gateway", "nat_gateway", own.nat_gateway, records, "NatGateway-Hours"))
    return found
