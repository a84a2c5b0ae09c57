"""Trainium2 hardware: chips, physical and logical cores, instance types and the zones that offer them."""

import dataclasses
import math
import typing

# Kinds of core are different types so that a throughput per one of them cannot be compared with a throughput
# per another by mistake.
LogicalCores = typing.NewType("LogicalCores", int)
"""Cores that a process sees and a degree counts: two physical cores each at LNC=2, Trainium2's default."""
PhysicalCores = typing.NewType("PhysicalCores", int)
"""NeuronCores on the chip: 8 per Trainium2 chip."""
AllocatedCores = typing.NewType("AllocatedCores", int)
"""Logical cores that a pod reserves, used or not."""
BilledCores = typing.NewType("BilledCores", int)
"""Logical cores of the paid instances, including unused ones."""

NEURONCORE_RESOURCE = "aws.amazon.com/neuroncore"
"""Resource that a pod requests, in logical cores. Karpenter 1.14 counts physical cores under the same name, twice as
many (pkg/providers/instancetype/types.go), so CPU requests, which both count alike, must decide the packing."""
NEURON_RESOURCE = "aws.amazon.com/neuron"
"""Whole chips; also the key of the taint that keeps other pods off Neuron nodes."""

PHYSICAL_CORES_PER_CHIP = 8
"""AWS Neuron documentation, about-neuron/arch/neuron-hardware/trainium2.rst, read 2026-08-21."""
LOGICAL_CORES_PER_CHIP = 4
"""At LNC=2, the default (neuron-features/logical-neuroncore-config.rst, read 2026-08-21)."""


def chips_of(degree: int) -> int:
    """Return the chips that hold ``degree`` logical cores."""
    return math.ceil(degree / LOGICAL_CORES_PER_CHIP)


def cores_held(degree: int, *, whole_chips: bool) -> int:
    """Return the logical cores that a server of ``degree`` reserves: its own, or those of whole chips."""
    return chips_of(degree) * LOGICAL_CORES_PER_CHIP if whole_chips else degree


MEMORY_PER_LOGICAL_CORE_GB = 24
"""One of the chip's four 24 GB banks (logical-neuroncore-config.rst). The EC2 API says 512 GiB a chip: wrong."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Roof:
    """The speed limit of one logical core, published or measured."""

    kind: typing.Literal["published", "attained"]
    """``published``: the maker's figure; ``attained``: reached in a short measurement, so the limit may be higher."""
    bytes_per_second: float
    """Bytes read from memory, with as many cores reading as servers run together."""
    flop_per_second: float | None
    """Floating-point operations in the model's number format; None if that was not measured."""
    source: str
    """Source of the figures, for people: the end of a sentence."""
    kept_bytes: float = 0.0
    """Most bytes of weights that on-chip memory could keep from one step to the next."""


LINK_BYTES_PER_SECOND: typing.Final = 1024e9
"""Bandwidth of a Trainium2 chip to the other chips of its instance over NeuronLink-v3, of 1,280 GB/s in all (Neuron
documentation, architecture pages of Trainium2 and Trn2). Nothing is published about the cores of one chip."""

# Chip: trainium2.rst of the Neuron SDK 2.32 documentation, read 2026-08-21 (2.9 TB/s from four stacks, 667 TFLOP/s
# dense BF16), divided by the four logical cores of LNC=2. Its per-core page says 79 TFLOP/s a physical core, 632 a
# chip: 5 % less. Measured by others on one trn2.3xlarge: 150 TFLOP/s (90 %) and 573 to 649 GB/s (79 to 89 %) a logical
# core, the same with all four busy (xpu-perf, vendor_ops/NEURON, 2026-09-02).
TRAINIUM2: typing.Final = Roof(
    kind="published",
    bytes_per_second=2.9e12 / LOGICAL_CORES_PER_CHIP,
    flop_per_second=667e12 / LOGICAL_CORES_PER_CHIP,
    source="AWS's figures for Trainium2: 725 GB/s and 167 BF16 TFLOP/s a logical core",
)
"""AWS's published figures for one logical core."""
TRAINIUM2_AT_MOST: typing.Final = dataclasses.replace(
    TRAINIUM2,
    # The NKI guide says 3 TB/s a chip, the most of all published readings.
    bytes_per_second=3e12 / LOGICAL_CORES_PER_CHIP,
    source="the most generous of AWS's figures for Trainium2: 750 GB/s and 167 BF16 TFLOP/s a logical core",
    # SBUF: 28 MiB a physical core (NKI architecture guide of Trainium2).
    kept_bytes=2 * 28 * 2**20,
)
"""The highest limit in any of AWS's documents; candidates are refused by this one."""

InstanceTypeName = str
"""Name of a type in INSTANCE_TYPES; settings refuse any other. trn2u.48xlarge is left out: the EC2 API describes it
without Neuron devices, so Karpenter never launches it for a pod that asks for cores (moto 5.2.5's copy of
DescribeInstanceTypes, 2026-10-03)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstanceType:
    """One size of Trainium2 instance and what Karpenter 1.14.1 was seen to allow pods on it (2026-11-23)."""

    name: InstanceTypeName
    chips: int
    vcpus: int
    allocatable_cpu_millicores: int
    """CPU for pods and DaemonSets: vCPUs less the share of kubelet and system."""
    allocatable_memory_mib: int
    allocatable_pods: int
    offered: typing.Mapping[str, tuple[str, ...]]
    """Zones, by region, in which the type was offered on OFFERINGS_READ_ON."""

    @property
    def logical_cores(self) -> LogicalCores:
        """Cores of all chips at LNC=2, which the device plugin offers as ``neuroncore``."""
        return LogicalCores(self.chips * LOGICAL_CORES_PER_CHIP)

    @property
    def billed_cores(self) -> BilledCores:
        """Logical cores that one hour of the instance pays for."""
        return BilledCores(self.logical_cores)

    @property
    def memory_per_logical_core_gb(self) -> int:
        """Device memory, 10^9 bytes, of one logical core."""
        return MEMORY_PER_LOGICAL_CORE_GB


OFFERINGS_READ_ON = "2026-10-03"
"""Day of this copy of DescribeInstanceTypeOfferings, from moto 5.2.5; the preflight command asks the account itself.
Zone names are an account's own view of the zones, so another account may see another letter."""

_TYPES: typing.Final = (
    InstanceType(
        name="trn2.3xlarge",
        chips=1,
        vcpus=12,
        allocatable_cpu_millicores=11900,
        allocatable_memory_mib=120556,
        allocatable_pods=30,
        offered={
            "ap-southeast-4": ("ap-southeast-4c",),
            "ap-south-2": ("ap-south-2a", "ap-south-2b", "ap-south-2c"),
            "sa-east-1": ("sa-east-1a", "sa-east-1b", "sa-east-1c"),
        },
    ),
    InstanceType(
        name="trn2.48xlarge",
        chips=16,
        vcpus=192,
        allocatable_cpu_millicores=191450,
        allocatable_memory_mib=1938410,
        allocatable_pods=100,
        offered={
            "us-east-2": ("us-east-2a", "us-east-2b", "us-east-2c"),
            "ap-south-2": ("ap-south-2a", "ap-south-2b", "ap-south-2c"),
        },
    ),
)
INSTANCE_TYPES: typing.Final[typing.Mapping[InstanceTypeName, InstanceType]] = {each.name: each for each in _TYPES}
"""Every type that may be launched, by name; another type needs only one more entry in _TYPES."""
