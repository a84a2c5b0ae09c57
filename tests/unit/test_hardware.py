"""The Trainium2 facts hold together, and the table of offerings says what its source says."""

import gzip
import importlib.util
import json
import pathlib

import pytest

from optimal_tp.facts.hardware import INSTANCE_TYPES, InstanceTypeName


def moto_folder() -> pathlib.Path:
    """Return where moto is installed, without the second that importing it takes."""
    found = importlib.util.find_spec("moto")
    if found is None or found.origin is None:
        raise LookupError("moto is not installed")
    return pathlib.Path(found.origin).parent


@pytest.mark.parametrize(
    ("name", "logical"),
    [("trn2.3xlarge", 4), ("trn2.48xlarge", 64)],
)
def test_cores_of_a_type(name: InstanceTypeName, logical: int) -> None:
    """Four logical cores a chip: the device plugin's count, and what is paid for."""
    kind = INSTANCE_TYPES[name]

    assert (kind.logical_cores, kind.billed_cores) == (logical, logical)


@pytest.mark.parametrize("name", INSTANCE_TYPES)
def test_every_type_is_described_and_offered_somewhere(name: InstanceTypeName) -> None:
    """A type that settings accept has its facts and a region."""
    kind = INSTANCE_TYPES[name]

    assert kind.name == name
    assert INSTANCE_TYPES[name].offered


@pytest.mark.parametrize("name", INSTANCE_TYPES)
def test_allocatable_leaves_something_to_the_system(name: InstanceTypeName) -> None:
    """Pods get less CPU than the instance has."""
    kind = INSTANCE_TYPES[name]

    assert kind.allocatable_cpu_millicores < kind.vcpus * 1000


@pytest.mark.parametrize("name", INSTANCE_TYPES)
def test_offerings_are_those_of_the_source(name: InstanceTypeName) -> None:
    """The zones of the table are exactly those in the copy of DescribeInstanceTypeOfferings that moto carries."""
    folder = moto_folder() / "ec2/resources/instance_type_offerings/availability-zone"
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted(folder.iterdir()):
        rows = json.loads(gzip.decompress(file.read_bytes()))
        zones = sorted(row["Location"] for row in rows if row["InstanceType"] == name)
        if zones:
            found[file.name.removesuffix(".json.gz")] = tuple(zones)

    assert found == dict(INSTANCE_TYPES[name].offered)
