"""What the program expects of a cluster that exists already, as sentences for the preview."""

from optimal_tp.facts.names import NODE_POOL, SCHEDULER
from optimal_tp.facts.versions import KARPENTER, NEURON
from optimal_tp.servers.node_pool import EFS_STARTUP_TAINT
from optimal_tp.settings.aws.existing import ExistingCluster
from optimal_tp.settings.infra import InfraSettings


def expectations(settings: InfraSettings, existing: ExistingCluster, *, ending: str) -> list[str]:
    """Return one sentence for each thing that the program expects on ``existing`` and would create in a new cluster.

    ``ending`` ends the names of this stack's nodes.
    """
    zones = ", ".join(settings.neuron.zones)
    karpenter = f"Karpenter {KARPENTER.version} or newer 1.x and its resource definitions"
    chart = f"the Neuron chart {NEURON.version} or newer: device plugin, scheduler extension and {SCHEDULER}, all ready"
    driver = f"the EFS CSI driver, which removes the startup taint {EFS_STARTUP_TAINT['key']} (2.3.0 or newer)"
    gate = ", with its feature gate NodeOverlay enabled" if settings.neuron.karpenter_needs_a_price else ""
    return [
        f"expected: cluster {existing.cluster_name}, with nodes for pods that are not Neuron's",
        f"expected: {karpenter}{gate}",
        f"expected: {chart}",
        f"expected: {driver}",
        f"expected: file system {existing.file_system_id} with a mount target in {zones} that the nodes may reach",
        f"expected: OIDC provider {existing.oidc_provider_arn} in IAM, with audience sts.amazonaws.com",
        f"expected: instance profile {existing.instance_profile}, whose role may join the cluster as a node",
        f"expected: no NodePool {NODE_POOL}{ending} of another stack (another serving.namespace gives it another name)",
        "expected: a network plugin that enforces NetworkPolicy (vpc-cni 1.21.2, 1.22.3 or newer: enableNetworkPolicy)",
    ]
