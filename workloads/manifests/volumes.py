"""Manifests of the shared volume and the code bundle, with their mounts in pods."""

import collections.abc
import typing

from workloads.manifests.bundle import CodeConfigMap

if typing.TYPE_CHECKING:
    import pulumi
    from pulumi_kubernetes.core.v1 import (
        PersistentVolumeClaimSpecArgsDict,
        PersistentVolumeSpecArgsDict,
        VolumeArgsDict,
        VolumeMountArgsDict,
    )

CODE_PATH = "/opt/optimal-tp"
"""Mount path of the bundle, and Python's path in every pod that runs our code."""
EFS_DRIVER = "efs.csi.aws.com"
TOKEN_PATH = "/var/run/hub/token"  # noqa: S105 - the place of one
"""File with the hub's token in the Job that fetches a model."""
_CAPACITY = "100Gi"
"""Kubernetes requires a size, but EFS has none and grows as needed (aws-efs-csi-driver, static provisioning)."""


def volume_spec(handle: "pulumi.Input[str]", claim: str, namespace: str) -> "PersistentVolumeSpecArgsDict":
    """Return the volume of ``handle`` (file system::access point) for one claim; its deletion keeps the files."""
    return {
        "access_modes": ["ReadWriteMany"],
        "capacity": {"storage": _CAPACITY},
        "claim_ref": {"api_version": "v1", "kind": "PersistentVolumeClaim", "name": claim, "namespace": namespace},
        "csi": {"driver": EFS_DRIVER, "volume_handle": handle},
        "persistent_volume_reclaim_policy": "Retain",
        "storage_class_name": "",
        "volume_mode": "Filesystem",
    }


def claim_spec(volume: str) -> "PersistentVolumeClaimSpecArgsDict":
    """Return the claim on ``volume`` alone; the empty class keeps provisioners from answering it."""
    return {
        "access_modes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": _CAPACITY}},
        "storage_class_name": "",
        "volume_name": volume,
        "volume_mode": "Filesystem",
    }


def code(parts: collections.abc.Sequence[CodeConfigMap]) -> "tuple[VolumeArgsDict, VolumeMountArgsDict]":
    """Return the bundle as one folder, and its mount."""
    volume: VolumeArgsDict = {
        "name": "code",
        "projected": {
            "sources": [
                {
                    "config_map": {
                        "name": part.name,
                        "items": [{"key": key, "path": path} for key, path in sorted(part.paths.items())],
                    }
                }
                for part in parts
            ]
        },
    }
    return volume, {"name": "code", "mount_path": CODE_PATH, "read_only": True}


def token(secret: str) -> "tuple[VolumeArgsDict, VolumeMountArgsDict]":
    """Return the key ``token`` of ``secret`` as the file TOKEN_PATH, and its mount."""
    folder, _, file = TOKEN_PATH.rpartition("/")
    volume: VolumeArgsDict = {
        "name": "hub-token",
        "secret": {"secret_name": secret, "items": [{"key": file, "path": file}], "default_mode": 0o440},
    }
    return volume, {"name": "hub-token", "mount_path": folder, "read_only": True}
