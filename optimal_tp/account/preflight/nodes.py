"""Check that nodes can be launched: zones, reservations, quotas and prices. Pure."""

import collections.abc
import dataclasses
import json
import typing

from optimal_tp.account import questions
from optimal_tp.account.preflight import capacity_blocks, quotas, reservations
from optimal_tp.account.preflight.context import Scene
from optimal_tp.account.preflight.rows import Row, judged, unknown
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.settings import sizing
from optimal_tp.settings.node_capacity import Neuron
from optimal_tp.settings.prices import HourPrice

_NEAR = 0.2
"""Largest difference from the listed price, as a share of it, without a warning."""


def offering(
    instance_type: str, zones: collections.abc.Sequence[str], offered: Answer, *, region: str, key: str
) -> Row:
    """Compare ``zones``, the setting ``key``, with the zones that offer the type; the answer has one entry per zone."""
    check = f"{instance_type} offered"
    required = f"offered in {', '.join(zones)}"
    if isinstance(offered, Unknown):
        return unknown(check, offered.reason, required)
    found = sorted(str(entry["Location"]) for entry in offered)
    missing = [zone for zone in zones if zone not in found]
    remedy = f"remove {', '.join(missing)} from {key} or choose another region"
    return judged(check, ", ".join(found) or f"nowhere in {region}", required, remedy, is_right=not missing)


def gate(neuron: Neuron, records: Answer, *, own_karpenter: bool) -> Row:
    """Say how Karpenter gets a price: except for reserved capacity it launches no instance without one.

    A NodeOverlay gives it the price in the settings. That is an alpha feature, which an existing Karpenter may not have
    enabled; only the cluster itself knows.
    """
    check, required = "price gate", "a reservation, a listed price or a NodeOverlay with its feature gate on"
    if not neuron.karpenter_needs_a_price:
        return Row(check=check, state="fine", found="reserved capacity only, no price needed", required=required)
    listed = [] if isinstance(records, Unknown) else prices(records)
    if listed:
        return Row(check=check, state="fine", found="AWS lists a price", required=required)
    overlay = f"a NodeOverlay gives Karpenter {neuron.price.usd_per_hour:g} USD an hour"
    if own_karpenter:
        return Row(check=check, state="fine", found=overlay, required=required)
    remedy = "enable the feature gate NodeOverlay in the Karpenter of infra.existing"
    found = f"unknown: {overlay} only if its feature gate is on"
    return Row(check=check, state="unknown", found=found, required=required, remedy=remedy)


def price(what: str, key: str, told: HourPrice, records: Answer, *, usage: str = "") -> Row:
    """Compare the price in the setting ``key`` with AWS's own, if AWS lists one.

    ``usage`` is the end of the record's usage type.
    """
    check, required = f"price of {what}", f"near {told.usd_per_hour:g} USD an hour, {key}"
    if isinstance(records, Unknown):
        return unknown(check, records.reason, required)
    listed = prices(records, usage=usage)
    if not listed:
        return Row(check=check, state="fine", found="AWS lists none, so yours is used", required=required)
    near = any(abs(usd - told.usd_per_hour) <= _NEAR * usd for usd in listed)
    return Row(
        check=check,
        state="fine" if near else "warning",
        found=", ".join(f"{usd:g}" for usd in listed[:4]) + " USD listed",
        required=required,
        remedy="" if near else f"set {key} to what you pay, unless a reservation is cheaper",
    )


def prices(records: collections.abc.Iterable[str], *, usage: str = "") -> list[float]:
    """Return the hourly on-demand prices in ``records`` of the Pricing API, in USD, ascending, each once.

    ``usage`` is the end of the usage type, which begins with a region's code ("USE2-AmazonEKS-Hours:perCluster").
    """
    decoded = [json.loads(record) for record in records]
    of_usage = [each for each in decoded if _usage_type(each).endswith(usage)]
    return sorted({usd for each in of_usage for unit in _hours(each) if (usd := float(unit.get("USD", 0))) > 0})


def _usage_type(record: typing.Any) -> str:  # noqa: ANN401 - JSON of the Pricing API
    return str(record.get("product", {}).get("attributes", {}).get("usagetype", ""))


def _hours(record: typing.Any) -> list[dict[str, str]]:  # noqa: ANN401 - likewise
    terms = record.get("terms", {}).get("OnDemand", {}).values()
    dimensions = [dimension for term in terms for dimension in term["priceDimensions"].values()]
    return [each["pricePerUnit"] for each in dimensions if each.get("unit", "").lower() in ("hrs", "hours")]


_ALIVE: typing.Final = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]


def rows(scene: Scene) -> list[Row]:
    """Return a row for each check of Neuron and system nodes."""
    settings = scene.settings
    neuron = settings.neuron
    alive = quotas.instances(scene.ask(questions.INSTANCES, Filters=_ALIVE))
    found = [_offered(scene, neuron.instance_type, neuron.zones, "infra.neuron.zones")]
    if settings.existing is None:
        found.append(_offered(scene, settings.system_nodes.instance_type, settings.zones, "infra.zones"))
    answers = _reservations(scene)
    reserved, held = _reserved(scene, alive, answers)
    found += held
    if isinstance(reserved, Unknown) or reserved < scene.experiment.nodes:
        found.append(capacity_blocks.row(scene))
    found += _quotas(scene, alive, reserved, reservations.unused(answers.values()))
    vcpus = sizing.system_node_vcpus(settings)
    if vcpus is not None and quotas.family(settings.system_nodes.instance_type) in quotas.STANDARD_FAMILIES:
        used = quotas.vcpus_in_use(
            alive, quotas.STANDARD_FAMILIES, spot=False, except_cluster=scene.settings.physical_name
        )
        allowed = quotas.allowed(scene, quotas.STANDARD)
        found.append(quotas.room(quotas.STANDARD, allowed, used, sum(vcpus), region=settings.region))
    records = _records(scene, instanceType=neuron.instance_type, **_PLAIN)
    found.append(gate(neuron, records, own_karpenter=settings.existing is None))
    found.append(price(neuron.instance_type, "infra.neuron.price", neuron.price, records))
    return [*found, *(_prices_around(scene) if settings.existing is None else [])]


def _offered(scene: Scene, instance_type: str, zones: tuple[str, ...], key: str) -> Row:
    kind = [{"Name": "instance-type", "Values": [instance_type]}]
    answer = scene.ask(questions.OFFERINGS, LocationType="availability-zone", Filters=kind)
    return offering(instance_type, zones, answer, region=scene.settings.region, key=key)


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
    # The row of a reservation that does not fit says so; its size does not matter then.
    if found and not any(row.state in ("wrong", "unknown") for row in found):
        found.append(reservations.enough(neuron, scene.experiment, available))
    elif found:
        available = 0
    return available, found


def _quotas(scene: Scene, alive: Answer, reserved: int | Unknown, unused: int | Unknown) -> list[Row]:
    """Return the vCPU quotas for nodes without a reservation. On-Demand reservations use up quota, used or not.

    If both on-demand and spot nodes may be launched, one of the two quotas is enough.
    """
    neuron, found = scene.settings.neuron, []
    wanted = scene.experiment.nodes + neuron.fleet_nodes
    nodes = wanted - (0 if isinstance(reserved, Unknown) else min(reserved, wanted))
    kinds = {"on-demand": quotas.TRN_ON_DEMAND, "spot": quotas.TRN_SPOT}
    for kind in neuron.capacity_types:
        if kind == "reserved":
            continue
        used = quotas.vcpus_in_use(alive, quotas.TRN, spot=kind == "spot", except_cluster=scene.settings.physical_name)
        if kind == "on-demand" and not isinstance(used, Unknown):
            used = unused if isinstance(unused, Unknown) else used + unused * neuron.hardware.vcpus
        needed = nodes * neuron.hardware.vcpus
        allowed = quotas.allowed(scene, kinds[kind])
        hint = "lower infra.neuron.maximum_nodes or fleet_nodes"
        found.append(quotas.room(kinds[kind], allowed, used, needed, region=scene.settings.region, hint=hint))
    if any(row.state == "fine" for row in found):
        found = [dataclasses.replace(row, state="warning") if row.state == "wrong" else row for row in found]
    return found


_PLAIN: typing.Final = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
"""Attributes of an ordinary instance's hour; without them AWS also returns Windows and dedicated hosts."""


def _records(scene: Scene, service: str = "AmazonEC2", **attributes: str) -> Answer:
    wanted = {"regionCode": scene.settings.region, **attributes}
    matches = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    return scene.ask(questions.PRICES, ServiceCode=service, Filters=matches)


def _prices_around(scene: Scene) -> list[Row]:
    """Compare the prices of everything around the Neuron nodes with AWS's own."""
    settings = scene.settings
    own, system = settings.prices, settings.system_nodes.instance_type

    def row(what: str, key: str, told: HourPrice, records: Answer, usage: str = "") -> Row:
        """Compare the price ``told``, ``infra.prices.key``, with ``records``."""
        return price(what, f"infra.prices.{key}", told, records, usage=usage)

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
