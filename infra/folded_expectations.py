"""What the program expects to find on a cluster that is there already, said before anything is made."""

from optimal_tp.facts.names import SCHEDULER
from optimal_tp.facts.versions import KARPENTER, NEURON
from optimal_tp.servers.node_pool import EFS_STARTUP_TAINT
from optimal_tp.settings.infra import ExistingCluster, InfraSettings


def expectations(settings: InfraSettings, existing: ExistingCluster) -> list[str]:
    """Return one sentence for each thing that rows 1 to 7 would have made on ``existing``."""
    zones = ", ".join(settings.neuron.zones)
    karpenter = f"Karpenter {KARPENTER.version} or newer 1.x and its resource definitions"
    chart = f"the Neuron chart {NEURON.version} or newer: device plugin, scheduler extension and {SCHEDULER}, all ready"
    driver = f"the EFS CSI driver, which removes the startup taint {EFS_STARTUP_TAINT['key']} (1.7.2 or newer)"
    gate = ", with its feature gate NodeOverlay open" if settings.neuron.karpenter_needs_a_price else ""
    return [
        f"expected: cluster {existing.cluster_name}, with nodes for pods that are not Neuron's",
        f"expected: {karpenter}{gate}",
        f"expected: {chart}",
        f"expected: {driver}",
        f"expected: file system {existing.file_system_id} with a mount target in {zones} that the nodes may reach",
        f"expected: OIDC provider {existing.oidc_provider_arn} in IAM, with audience sts.amazonaws.com",
        f"expected: instance profile {existing.instance_profile}, whose role may join the cluster as a node",
        "expected: a network plugin that keeps NetworkPolicies (vpc-cni: enableNetworkPolicy)",
    ]
