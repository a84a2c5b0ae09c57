"""The stack files name what their regions offer, by the copy of AWS's own answers that moto carries."""

import functools
import gzip
import importlib.util
import json
import pathlib

import pytest

from optimal_tp.settings.first_up import is_closed
from optimal_tp.settings.infra import InfraSettings, parse_infra
from tests.fakes_stack_files import STACK_FILES, stack_config


def moto_folder() -> pathlib.Path:
    """Return where moto is installed, without the second that importing it takes."""
    found = importlib.util.find_spec("moto")
    if found is None or found.origin is None:
        raise LookupError("moto is not installed")
    return pathlib.Path(found.origin).parent


@functools.cache
def offered(region: str) -> frozenset[tuple[str, str]]:
    """Return (type, zone) for every offering in ``region``."""
    folder = moto_folder() / "ec2/resources/instance_type_offerings/availability-zone"
    rows = json.loads(gzip.decompress((folder / f"{region}.json.gz").read_bytes()))
    return frozenset((row["InstanceType"], row["Location"]) for row in rows)


def settings(file: str) -> InfraSettings:
    """Return the parsed infra section of a stack file."""
    return parse_infra(stack_config(file)["optimal-tp:infra"], file=file)


@pytest.mark.parametrize("file", STACK_FILES)
def test_types_are_offered_where_they_are_asked_for(file: str) -> None:
    """System nodes in every zone of the network, Neuron nodes in each of theirs."""
    infra = settings(file)
    asked = {(infra.system_nodes.instance_type, zone) for zone in infra.zones}
    asked |= {(infra.neuron.instance_type, zone) for zone in infra.neuron.zones}

    assert asked - offered(infra.region) == set()


@pytest.mark.parametrize("file", STACK_FILES)
def test_every_addon_has_its_version(file: str) -> None:
    """EKS's default of the day may be one that keeps nodes from starting; what is pinned is held against known harm."""
    pinned = settings(file).addons.by_addon()

    assert [name for name, version in pinned.items() if version is None] == []


def test_dev_is_the_cheapest_experiment() -> None:
    """The smallest type, from a reservation only, one NAT gateway, nothing kept for long, destroy unhindered."""
    infra = settings("Pulumi.dev.yaml")

    assert (infra.neuron.instance_type, infra.neuron.capacity_types) == ("trn2.3xlarge", ("reserved",))
    assert (infra.network.nat_gateways, infra.network.flow_log_days) == ("one", None)
    assert not infra.control_plane.deletion_protection


def test_prod_is_a_cluster_to_keep() -> None:
    """Protection against deletion, three zones, and the large type; its first `up` has a way in."""
    infra = settings("Pulumi.prod.yaml")

    assert not is_closed(infra)
    assert infra.control_plane.deletion_protection
    assert (len(infra.zones), infra.network.nat_gateways) == (3, "per-zone")
    assert infra.neuron.instance_type == "trn2.48xlarge"
