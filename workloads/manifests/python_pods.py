"""Pods that run our own Python on a system node: the load generator and the fetch Job."""

import collections.abc
import dataclasses
import typing

from optimal_tp.servers import neuron_pod
from workloads.manifests import volumes
from workloads.manifests.bundle import CodeConfigMap

if typing.TYPE_CHECKING:
    from pulumi_kubernetes.core.v1 import ContainerArgsDict, PodSpecArgsDict, VolumeArgsDict, VolumeMountArgsDict
from workloads.manifests.bundle import REQUIREMENTS

USER = 10001
_DEPENDENCIES_PATH = "/opt/dependencies"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runtime:
    """The environment of our Python: image, code and dependencies."""

    image: str
    installs: bool
    """True if the image is a bare Python, so that an init container installs the dependencies."""
    package_index_url: str | None
    parts: tuple[CodeConfigMap, ...]
    requirements: str = REQUIREMENTS
    """Path of the requirements in the bundle."""


def variables(runtime: Runtime) -> dict[str, str]:
    """Return the variables by which Python finds the bundle and its dependencies on a read-only file system."""
    path = f"{volumes.CODE_PATH}:{_DEPENDENCIES_PATH}" if runtime.installs else volumes.CODE_PATH
    return {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}  # noqa: S108


def pod_spec(
    runtime: Runtime,
    container: "ContainerArgsDict",
    mounts: "collections.abc.Sequence[tuple[VolumeArgsDict, VolumeMountArgsDict]]",
    *,
    stop_seconds: int,
) -> "PodSpecArgsDict":
    """Return a pod with ``container``, the bundle, a scratch folder, ``mounts``, and only the rights that it needs."""
    scratch = neuron_pod.scratch("tmp", "/tmp")  # noqa: S108 - an emptyDir
    code = volumes.code(runtime.parts)
    dependencies = neuron_pod.scratch("dependencies", _DEPENDENCIES_PATH)
    all_mounts = [code, scratch, *([dependencies] if runtime.installs else []), *mounts]
    main: ContainerArgsDict = {
        **container,
        "image": runtime.image,
        "image_pull_policy": "IfNotPresent",
        "security_context": neuron_pod.confined(read_only_root=True),
        "volume_mounts": [mount for _, mount in all_mounts],
    }
    spec: PodSpecArgsDict = {
        "automount_service_account_token": False,
        "containers": [main],
        "enable_service_links": False,
        "security_context": {
            "fs_group": USER,
            "run_as_group": USER,
            "run_as_non_root": True,
            "run_as_user": USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "termination_grace_period_seconds": stop_seconds,
        "volumes": [volume for volume, _ in all_mounts],
    }
    if runtime.installs:
        spec["init_containers"] = [_installer(runtime, [mount for _, mount in (code, scratch, dependencies)])]
    return spec


def _installer(runtime: Runtime, mounts: "list[VolumeMountArgsDict]") -> "ContainerArgsDict":
    """Return the init container that installs the pinned dependencies; it checks hashes, whatever the index."""
    index = [] if runtime.package_index_url is None else ["--index-url", runtime.package_index_url]
    return {
        "name": "dependencies",
        "image": runtime.image,
        "image_pull_policy": "IfNotPresent",
        "command": [
            *("python", "-m", "pip", "install", "--no-cache-dir", "--no-compile", "--only-binary=:all:"),
            *("--require-hashes", *index, "--target", _DEPENDENCIES_PATH),
            *("--requirement", f"{volumes.CODE_PATH}/{runtime.requirements}"),
        ],
        "env": neuron_pod.variables(variables(runtime)),
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "security_context": neuron_pod.confined(read_only_root=True),
        "volume_mounts": mounts,
    }
