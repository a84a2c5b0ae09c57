"""Images and charts: the ones that are pulled, their addresses, and whether their registry has them. Pure."""

import dataclasses
import re
import typing

from optimal_tp.account.preflight.context import ExperimentNeeds
from optimal_tp.account.preflight.rows import Row, judged, unknown
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.facts.versions import (
    KARPENTER,
    KARPENTER_CRD,
    KUBERNETES,
    NEURON,
    NEURON_IMAGE_TAG,
    PYTHON_IMAGE,
    Chart,
)
from optimal_tp.settings.infra import InfraSettings

_ECR = re.compile(r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?$")
_DOCKER_HUB: typing.Final = "registry-1.docker.io"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """The address of one image or chart: registry, repository, and a tag or a digest ("sha256:…")."""

    registry: str
    repository: str
    version: str

    def __str__(self) -> str:
        """Return the address as a pod or Helm writes it."""
        return f"{self.registry}/{self.repository}{'@' if self.is_digest else ':'}{self.version}"

    @property
    def is_digest(self) -> bool:
        """True if the version is a digest."""
        return self.version.startswith("sha256:")

    @property
    def manifest_url(self) -> str:
        """URL of its manifest at the registry (OCI distribution specification 1.1, "Pulling manifests")."""
        return f"https://{self.registry}/v2/{self.repository}/manifests/{self.version}"

    @property
    def ecr(self) -> tuple[str, str] | None:
        """Account and region of a private registry of Amazon ECR; None for any other registry."""
        found = _ECR.match(self.registry)
        return None if found is None else (found["account"], found["region"])


def reference(text: str) -> Reference:
    """Return ``text`` split as container runtimes do: no registry means Docker Hub, no version means ``latest``."""
    name, digest = text.split("@", maxsplit=1) if "@" in text else (text, "")
    first, slash, rest = name.partition("/")
    has_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, path = (first, rest) if has_registry else (_DOCKER_HUB, name)
    repository, _, tag = path.partition(":")
    if not has_registry and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(registry=registry, repository=repository, version=digest or tag or "latest")


def images(settings: InfraSettings, experiment: ExperimentNeeds) -> dict[str, str]:
    """Return every image that our settings name, by its purpose; EKS's add-ons bring their own images."""
    host = settings.registries.images
    found = {"vLLM": settings.neuron.image_and_ami.image(host), "Python": f"{host}/{PYTHON_IMAGE}"}
    if experiment.own_image is not None:
        found["load generator"] = experiment.own_image
    if settings.existing is None:
        kubernetes = KUBERNETES[settings.kubernetes]
        found |= {
            "Karpenter": f"{host}/karpenter/controller:{KARPENTER.version}",
            "device plugin": f"{host}/neuron/neuron-device-plugin:{NEURON_IMAGE_TAG}",
            "scheduler extension": f"{host}/neuron/neuron-scheduler:{NEURON_IMAGE_TAG}",
            "scheduler": f"{host}/{kubernetes.scheduler_image()}:{kubernetes.scheduler_tag}",
        }
    return found


def charts(settings: InfraSettings) -> dict[str, Chart]:
    """Return the installed charts, by their purpose."""
    if settings.existing is not None:
        return {}
    return {"Karpenter": KARPENTER, "Karpenter's definitions": KARPENTER_CRD, "Neuron": NEURON}


def reachable(check: str, wanted: Reference, answer: Answer) -> Row:
    """Say whether the registry has ``wanted``: ``answer`` holds its digest, nothing, or why it is not known."""
    required = str(wanted)
    if isinstance(answer, Unknown):
        remedy = "run preflight where the registry can be reached; the nodes pull over their own network"
        return dataclasses.replace(unknown(check, answer.reason, required), remedy=remedy)
    if answer:
        return Row(check=check, state="fine", found=f"there, {answer[0]}", required=required)
    remedy = f"copy it to {wanted.registry} or set infra.registries to a registry that has it"
    return Row(check=check, state="wrong", found="no such manifest there", required=required, remedy=remedy)


def folder(check: str, path: str, *, is_there: bool) -> Row:
    """Say whether a local directory holds the chart."""
    remedy = "unpack the chart there or set infra.registries.charts to another folder"
    return judged(check, "there" if is_there else "no Chart.yaml there", path, remedy, is_right=is_there)
