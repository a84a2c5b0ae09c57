"""Versions of the EKS add-ons: the ``addons`` section of the settings."""

import typing

import pydantic

from optimal_tp.facts.eks_addons import VERSION_PATTERN, AddonName
from optimal_tp.settings.parser import Section, shape

Version = typing.Annotated[
    str,
    pydantic.Field(pattern=shape(VERSION_PATTERN, "must be a version of the add-on, for example v1.22.4-eksbuild.3")),
]

ADDON_KEYS: typing.Final[typing.Mapping[str, AddonName]] = {
    "vpc_cni": "vpc-cni",
    "kube_proxy": "kube-proxy",
    "coredns": "coredns",
    "efs_csi_driver": "aws-efs-csi-driver",
    "pod_identity_agent": "eks-pod-identity-agent",
}
"""EKS's name of each add-on, by its key in the section."""


class AddonVersions(Section):
    """EKS add-on versions. An add-on without one gets, and keeps, EKS's default on the day it is created."""

    vpc_cni: Version | None = None
    """Pod network and network policies."""
    kube_proxy: Version | None = None
    """Routes traffic to Services inside the cluster."""
    coredns: Version | None = None
    """DNS inside the cluster."""
    efs_csi_driver: Version | None = None
    """Mounts the volume that holds the compiled artifacts."""
    pod_identity_agent: Version | None = None
    """Gives Karpenter and the EFS driver their AWS identity."""

    def by_addon(self) -> dict[AddonName, str | None]:
        """Return the version of each add-on; None where EKS chooses."""
        return {addon: getattr(self, key) for key, addon in ADDON_KEYS.items()}
