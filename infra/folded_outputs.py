"""What the cluster puts out, typed: each field is a stack output, its docstring a row of docs/settings.md."""

import typing

import pulumi


class ClusterOutputs(typing.TypedDict):
    """Outputs of rows 1 to 8."""

    region: pulumi.Input[str]
    """Where every AWS call goes."""
    cluster_name: pulumi.Input[str]
    """EKS cluster that the nodes join."""
    kubeconfig_command: pulumi.Input[str]
    """Command after which ``kubectl`` speaks to the cluster."""
    oidc_provider_arn: pulumi.Input[str]
    """Identity provider of the cluster, by which service accounts take roles."""
    file_system_id: pulumi.Input[str]
    """EFS file system with model and compiled artifacts."""
    access_point_id: pulumi.Input[str]
    """Its access point, which pins user and folder."""
    node_pool_name: pulumi.Input[str]
    """Karpenter's NodePool that launches the Neuron nodes."""
    prices: pulumi.Input[list[str]]
    """Every price that counts, with its source and date, the Neuron node's first."""
