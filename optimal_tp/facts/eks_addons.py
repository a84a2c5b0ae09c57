"""EKS add-ons that the program installs, and their versions with known faults."""

import dataclasses
import re
import typing

from optimal_tp.facts.versions import KubernetesMinor

AddonName = typing.Literal["vpc-cni", "kube-proxy", "coredns", "aws-efs-csi-driver", "eks-pod-identity-agent"]
VERSION_PATTERN: typing.Final = r"^v\d+\.\d+\.\d+-[a-z]*-?eksbuild\.\d+$"
"""EKS's form of a version: "v1.22.4-eksbuild.3"."""
_RELEASE: typing.Final = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Floor:
    """The first good release of each line (major, minor), ascending; the last one holds for all later lines too."""

    firsts: tuple[tuple[int, int, int], ...]
    reason: str

    def holds(self, release: tuple[int, int, int]) -> bool:
        """Return whether ``release`` is good: at least the first good one of its line, or of the last line."""
        in_line = [first for first in self.firsts if first[:2] == release[:2]]
        return release >= (in_line[0] if in_line else self.firsts[-1])

    def __str__(self) -> str:
        """Return the releases for people: "v1.21.2 or v1.22.3"."""
        return " or ".join(f"v{'.'.join(map(str, first))}" for first in self.firsts)


_FLOORS: typing.Final[typing.Mapping[AddonName, _Floor]] = {
    # Read 2026-11-27.
    "vpc-cni": _Floor(
        firsts=((1, 21, 2), (1, 22, 3)),
        reason="the network-policy agent of older ones may shut the network of pods without a policy on a fresh node "
        "(aws/aws-network-policy-agent issues 553, 570 and 592)",
    ),
    "aws-efs-csi-driver": _Floor(
        firsts=((2, 3, 0),),
        reason="older ones may leave their startup taint on a node, which then never takes a pod and bills on "
        "(kubernetes-sigs/aws-efs-csi-driver issues 1320, 1491 and 1613)",
    ),
}


def addon_conflict(addon: AddonName, version: str, minor: KubernetesMinor) -> str | None:
    """Return the rule ("must ...") that ``version`` of ``addon`` breaks on ``minor``; None if no fault is known."""
    found = _RELEASE.match(version)
    if found is None:
        return None
    release = (int(found[1]), int(found[2]), int(found[3]))
    if addon == "kube-proxy" and f"{release[0]}.{release[1]}" != minor:
        return f"must have the cluster's own minor version ({minor})"
    floor = _FLOORS.get(addon)
    if floor is None or floor.holds(release):
        return None
    return f"must be {floor} or newer: {floor.reason}"
