"""Every pin in one place: Kubernetes, charts, scheduler image, and vLLM images paired with the AMIs whose driver fits.

Images are pinned by exact tag, because their digests could not be looked up. The stack files have the versions of EKS
add-ons; ``facts/eks_addons.py`` has their known faults.
"""

import dataclasses
import itertools
import typing

from optimal_tp.facts.engines import ENGINES, Engine, Line

CHART_REGISTRY = "oci://public.ecr.aws"
"""Source of charts, unless a setting names a mirror or a local directory."""
IMAGE_REGISTRY = "public.ecr.aws"
"""Source of images, unless a setting names a mirror."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """A Helm chart: its path below a chart registry and its version."""

    path: str
    version: str

    def reference(self, registry: str) -> str:
        """Return Helm's ``chart``: an OCI reference, or a directory if ``registry`` is one.

        A mirror keeps the whole path; a directory holds unpacked charts under the last part of their path.
        """
        if registry.startswith("oci://"):
            return f"{registry.rstrip('/')}/{self.path}"
        return f"{registry.rstrip('/')}/{self.path.rsplit('/', maxsplit=1)[-1]}"


KARPENTER = Chart(path="karpenter/karpenter", version="1.14.1")
"""Newest release whose source was read (2026-08-21). Release 1.15 is out (2026-10-10), but nothing was tried with
it."""
KARPENTER_KUBERNETES: typing.Final = (26, 36)
"""Lowest and highest Kubernetes minor that 1.14 supports (its pkg/providers/version/version.go). With others it logs
one error and continues."""
KARPENTER_SUPPORTED_UNTIL = "2027-07-31"
"""1.14 is a release with long support: until July 2027 (karpenter-provider-aws, SUPPORT.md, read 2026-11-28)."""
KARPENTER_CRD = Chart(path="karpenter/karpenter-crd", version="1.14.1")
"""The same release's resource definitions, as a chart that upgrades and removes them."""
NEURON = Chart(path="neuron/neuron-helm-chart", version="1.10.0")
"""First version seen whose device plugin knows trn2.3xlarge (values read 2026-09-11)."""
NEURON_IMAGE_TAG = "2.32.0.0"
"""Tag of device plugin and scheduler extension in that chart's values; the chart sets it, preflight checks it."""


KubernetesMinor = typing.Literal["1.35", "1.36", "1.37"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """One Kubernetes minor version as EKS offers it."""

    scheduler_tag: str
    """Tag of EKS Distro's kube-scheduler for this minor, which the Neuron chart's ``my-scheduler`` runs."""

    def scheduler_image(self) -> str:
        """Return the image's path below an image registry, without the tag."""
        return "eks-distro/kubernetes/kube-scheduler"


KUBERNETES: typing.Final[typing.Mapping[KubernetesMinor, Kubernetes]] = {
    # Tags: releases v1-35-eks-15 and v1-36-eks-9 of github.com/aws/eks-distro, 2026-10-02.
    "1.35": Kubernetes(scheduler_tag="v1.35.8-eks-1-35-15"),
    "1.36": Kubernetes(scheduler_tag="v1.36.4-eks-1-36-9"),
    # Release v1-37-eks-2, 2026-09-02: the newest of 1.37 whose list of images was read. EKS has 1.37 since 2026-10-02.
    "1.37": Kubernetes(scheduler_tag="v1.37.0-eks-1-37-2"),
}

PYTHON_IMAGE = "docker/library/python:3.11.14-slim-bookworm"
"""Below an image registry: the Python of the load generator and the fetch Job, for which requirements/loadgen.txt
is compiled. Amazon ECR Public mirrors Docker's official images under this path."""

PairName = typing.Literal["neuronx-0.9.1", "neuronx-0.16.0", "vllm-neuron-0.29"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageAndAmi:
    """A vLLM image and an AMI release whose host driver its runtime accepts."""

    image_path: str
    """Path below an image registry, without the tag."""
    image_tag: str
    runtime: str
    """Version of the Neuron runtime library in the image."""
    line: Line
    ami_release: str
    """Release of the EKS-optimised AL2023 AMI, ``vYYYYMMDD``."""
    kubernetes: tuple[KubernetesMinor, ...]
    """Minors for which that AMI release exists."""
    support: str
    """Until when AWS supports the image, as a sentence."""
    doubt: str | None = None
    """What could not be read or tried, as a sentence; None if image, runtime and driver were read."""

    @property
    def engine(self) -> Engine:
        """The layout rules of its vLLM."""
        return ENGINES[self.line]

    def image(self, registry: str = IMAGE_REGISTRY) -> str:
        """Return the image reference at ``registry``."""
        return f"{registry.rstrip('/')}/{self.image_path}:{self.image_tag}"


_VLLM_IMAGE = "neuron/pytorch-inference-vllm-neuronx"
PAIRS: typing.Final[typing.Mapping[PairName, ImageAndAmi]] = {
    # Image tags and runtimes: aws-neuron/deep-learning-containers README (2026-08-17) and the SDK's
    # n2-manifest.json. AMI releases: awslabs/amazon-eks-ami CHANGELOG and release pages, read 2026-11-27: v20260618 is
    # of 1.35 (driver 2.28.0.0, which no longer loses cores that pass from one pod to the next within seconds, and ENA
    # 2.16.1g), v20260714 of 1.35 and 1.36 (driver 2.29.0.0, that of SDK 2.31).
    # Support: the SDK's announcements ("End of support: NxD Core and NxD Inference") and the README of AWS's Deep
    # Learning Containers, read 2026-11-27.
    "neuronx-0.9.1": ImageAndAmi(
        image_path=_VLLM_IMAGE,
        image_tag="0.9.1-neuronx-py311-sdk2.26.1-ubuntu22.04",
        runtime="2.28.23.0",
        line="fork-v0",
        ami_release="v20260618",
        kubernetes=("1.35",),
        support=(
            "NxD Inference on AWS's fork of vLLM, unsupported since SDK 2.28 (2026-02-26); NxD Inference on trn2 ends "
            "with SDK 2.34 (announced 2026-10-16)"
        ),
    ),
    "neuronx-0.16.0": ImageAndAmi(
        image_path=_VLLM_IMAGE,
        image_tag="0.16.0-neuronx-py312-sdk2.31.1-ubuntu24.04",
        runtime="2.33.10.0",
        line="plugin-v1",
        ami_release="v20260714",
        kubernetes=("1.35", "1.36"),
        support=(
            "NxD Inference, of which SDK 2.31.1 (2026-08-12) has the last image; NxD Inference on trn2 ends with SDK "
            "2.34 (announced 2026-10-16)"
        ),
    ),
    # Tag: SDK 2.33.0, 2026-10-19 (README of AWS's Deep Learning Containers as first seen; not met a second time).
    # Runtime: component index of the SDK 2.33 documentation, with driver 2.31.7.0 beside it. AMI: the first release
    # after that SDK that was seen, for Kubernetes 1.31 to 1.37 (awslabs/amazon-eks-ami); its package table was not
    # read.
    "vllm-neuron-0.29": ImageAndAmi(
        image_path=_VLLM_IMAGE,
        image_tag="0.29.0.1.2.0-neuronx-py314-sdk2.33.0-ubuntu26.04",
        runtime="2.35.30.0",
        line="vllm-neuron",
        ami_release="v20261112",
        kubernetes=("1.35", "1.36", "1.37"),
        support="vLLM's Neuron plugin, which AWS goes on with and still calls beta (SDK 2.33, 2026-10-19)",
        doubt=(
            "the driver of AMI v20261112 is taken to be 2.31, by its date; its package table was not read, and no rule "
            "for runtime 2.35 on older drivers is published"
        ),
    ),
}

_DRIVER_STEPS: typing.Final[tuple[tuple[str, str], ...]] = (
    # First AMI release with each driver (aws-neuronx-dkms), from the package tables of awslabs/amazon-eks-ami's
    # CHANGELOG, read 2026-11-23. The last two steps are the drivers of SDK 2.32 and 2.33, by their dates (2026-08-17,
    # 2026-10-19), at the first release seen after each.
    ("v20250920", "2.24.7.0"),
    ("v20260107", "2.25.4.0"),
    ("v20260304", "2.26.5.0"),
    ("v20260318", "2.26.10.0"),
    ("v20260409", "2.27.4.0"),
    ("v20260610", "2.28.0.0"),
    ("v20260714", "2.29.0.0"),
    ("v20260818", "2.30.2.0"),
    ("v20261112", "2.31.7.0"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BadRelease:
    """An AMI release that must not run here, on which minors, and why, as a part of a sentence."""

    kubernetes: tuple[KubernetesMinor, ...]
    reason: str


_BOTH: typing.Final[tuple[KubernetesMinor, ...]] = ("1.35", "1.36")
_RECLAIM = BadRelease(
    kubernetes=("1.35",),
    reason="its kernel panics while it reclaims memory (awslabs/amazon-eks-ami issue 2845, mended in v20261012)",
)
_BAD_RELEASES: typing.Final[typing.Mapping[str, BadRelease]] = {
    # Read 2026-11-27.
    "v20260625": BadRelease(
        kubernetes=_BOTH,
        reason="its kernel panics when a network interface is taken away, as the network plugin does "
        "(amzn/amzn-drivers issues 379 and 380, awslabs/amazon-eks-ami pull request 2757)",
    ),
    "v20260930": _RECLAIM,
    "v20261003": _RECLAIM,
}


def bad_release(ami_release: str, minor: KubernetesMinor) -> str | None:
    """Return why ``ami_release`` must not run on ``minor``, as part of a sentence; None without known faults."""
    found = _BAD_RELEASES.get(ami_release)
    return None if found is None or minor not in found.kubernetes else found.reason


def host_driver(ami_release: str) -> str | None:
    """Return the Neuron driver on the AMI of ``ami_release`` (``vYYYYMMDD``); None before the first known release."""
    known = itertools.takewhile(lambda step: step[0] <= ami_release, _DRIVER_STEPS)
    return next((driver for _, driver in reversed(tuple(known))), None)


def pair_conflict(pair: ImageAndAmi, ami_release: str) -> str | None:
    """Return why ``pair``'s image cannot run on ``ami_release``; None if its driver and runtime accept each other.

    Rules: driver 2.29 needs runtime 2.33 or newer; runtime 2.32 needs a driver newer than 2.26 (AWS Neuron
    release-notes/components/runtime.rst, SDK 2.31 and 2.30).
    """
    driver = host_driver(ami_release)
    image = f"{pair.image_tag} (runtime {pair.runtime})"
    if driver is None:
        return f"the Neuron driver of AMI releases before {_DRIVER_STEPS[0][0]} is not known here"
    if _number(driver) >= (2, 29) and _number(pair.runtime) < (2, 33):
        return f"its driver {driver} wants a runtime of 2.33 or newer, and the image is {image}"
    if _number(driver) < (2, 27) and _number(pair.runtime) >= (2, 32):
        return f"its driver {driver} is older than 2.27, and the image {image} wants a newer one"
    return None


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
