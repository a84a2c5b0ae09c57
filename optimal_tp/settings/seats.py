"""The processors of the system nodes that the program makes, as far as a type's name says them."""

import re

from optimal_tp.settings.infra import SYSTEM_NODES, InfraSettings

_SIZE = re.compile(r"\.(?:(?P<large>large)|(?P<times>\d*)xlarge)$")
_VCPUS_OF_XLARGE = 4


def system_node_vcpus(settings: InfraSettings) -> tuple[int, ...] | None:
    """Return the vCPUs of each system node; None on a cluster that is there already, or where the name says nothing.

    "large" has 2 vCPUs and "Nxlarge" 4 N in every x86-64 family.
    """
    size = _SIZE.search(settings.system_nodes.instance_type)
    if settings.existing is not None or size is None:
        return None
    vcpus = 2 if size["large"] else _VCPUS_OF_XLARGE * int(size["times"] or 1)
    return (vcpus,) * SYSTEM_NODES
