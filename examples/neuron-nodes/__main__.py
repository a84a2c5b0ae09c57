"""Trainium2 nodes for the EKS cluster ``theirs``, and how a pod asks for them.

Set the kubeconfig first: ``pulumi config set --secret kubeconfig -- "$(cat kubeconfig)"``. Every id here is an example.
"""

import pulumi
import pulumi_optimal_tp as optimal_tp  # made by `pulumi package add`, or by `pulumi install` from Pulumi.yaml

nodes = optimal_tp.NeuronNodes(
    "nodes",
    cluster_name="theirs",
    kubeconfig=pulumi.Config().require_secret("kubeconfig"),
    kubernetes="1.35",
    subnet_ids=["subnet-0123456789abcdef0"],
    security_group_ids=["sg-0123456789abcdef0"],
    zones=["ap-southeast-4c"],
    capacity_types=["reserved"],
    reservation_ids=["cr-0123456789abcdef0"],
    price={"usd_per_hour": 2.25, "source": "Capacity Block, ap-southeast-4", "date": "2026-10-03"},
    maximum_nodes=1,
    tags={"project": "neuron-nodes"},
)

pulumi.export("node_selector", {"karpenter.sh/nodepool": nodes.node_pool_name})
pulumi.export("scheduler_name", nodes.scheduler_name)
