"""Trainium2 as the program counts it: chips, physical and logical cores, instance types and where they are offered."""

import typing

# Kinds of core are different types so that a throughput per one of them cannot be compared with a throughput
# per another by mistake.
LogicalCores = typing.NewType("LogicalCores", int)
"""Cores a process sees: what a tensor-parallel degree counts. Two physical cores each at LNC=2, Trainium2's default."""
PhysicalCores = typing.NewType("PhysicalCores", int)
"""NeuronCores on the chip: 8 per Trainium2 chip."""
AllocatedCores = typing.NewType("AllocatedCores", int)
"""Logical cores that a pod reserves, used or not."""
BilledCores = typing.NewType("BilledCores", int)
"""Logical cores of the instances that are paid for, so that stranded cores count."""
