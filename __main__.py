"""The program: read the stack's two sections, build the cluster, then the experiment on it.

Rows 1 to 8 (infra): network, control plane, system nodes, add-ons and file system, Karpenter, Neuron chart, node pool.
Rows 9 to 11 (workloads): compiled artifacts, servers, load generator and dashboard.
"""

import pulumi

from infra import platform
from infra.settings import parse_infra, require_region
from workloads.settings import parse_workloads

file = f"Pulumi.{pulumi.get_stack()}.yaml"
config = pulumi.Config()
infra = parse_infra(config.require_object("infra"), file=file)
workloads = parse_workloads(config.require_object("workloads"), file=file)
require_region(infra, pulumi.Config("aws").require("region"), file=file)

base = platform.build(infra)

for name, value in base.outputs().items():
    pulumi.export(name, value)
