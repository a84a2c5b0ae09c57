"""Which versions of EKS's add-ons run: the ``addons`` section of the settings."""

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
"""Key of the section to EKS's name."""


class AddonVersions(Section):
    """EKS add-on versions; absent takes EKS's default for the minor when the add-on is made, and keeps it."""

    vpc_cni: Version | None = None
    """Network of pods, and the policies between them."""
    kube_proxy: Version | None = None
    """Services inside the cluster."""
    coredns: Version | None = None
    """Names inside the cluster."""
    efs_csi_driver: Version | None = None
    """Mounts the volume of compiled artifacts."""
    pod_identity_agent: Version | None = None
    """Gives Karpenter and the EFS driver their AWS identity."""

    def by_addon(self) -> dict[AddonName, str | None]:
        """Return the version that is named for each add-on; None where EKS chooses."""
        return {addon: getattr(self, key) for key, addon in ADDON_KEYS.items()}
