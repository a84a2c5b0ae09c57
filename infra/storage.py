"""The shared file system: EFS with a mount target in every zone, and the access point for volumes."""

import collections.abc
import dataclasses

import pulumi
import pulumi_aws as aws

from infra.network import Subnets
from optimal_tp.settings.infra import Storage

NFS_PORT = 2049
DIRECTORY = "/optimal-tp"
"""Root of the access point on the file system."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedStorageArgs:
    """Arguments of the file system. ``client_security_group_id`` is the nodes' group."""

    subnets: Subnets
    client_security_group_id: pulumi.Input[str]
    storage: Storage
    tags: collections.abc.Mapping[str, str]


class SharedStorage(pulumi.ComponentResource):
    """A file system for compiled artifacts. Children: ``<name>-files``, ``-nfs``, ``-mount-<zone>``, ``-access``.

    Takes its AWS provider from ``opts``. Pods that mount it must depend on this component: if a mount target goes
    first, the mount breaks, and they hang in termination.
    """

    file_system_id: pulumi.Output[str]
    access_point_id: pulumi.Output[str]

    def __init__(self, name: str, args: SharedStorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:infra:SharedStorage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        tags = {**args.tags, "Name": name}
        files = aws.efs.FileSystem(
            f"{name}-files", encrypted=True, throughput_mode=args.storage.throughput, tags=tags, opts=child
        )
        group = aws.ec2.SecurityGroup(
            f"{name}-nfs",
            description="NFS from the nodes of the cluster",
            vpc_id=args.subnets.vpc_id,
            tags=tags,
            opts=child,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-nfs",
            description="NFS",
            security_group_id=group.id,
            referenced_security_group_id=args.client_security_group_id,
            ip_protocol="tcp",
            from_port=NFS_PORT,
            to_port=NFS_PORT,
            tags=dict(args.tags),
            opts=child,
        )
        for zone, subnet_id in args.subnets.private_ids.items():
            aws.efs.MountTarget(
                f"{name}-mount-{zone}",
                file_system_id=files.id,
                subnet_id=subnet_id,
                security_groups=[group.id],
                opts=child,
            )
        access = access_point(f"{name}-access", files.id, args.storage, tags, child)
        self.file_system_id, self.access_point_id = files.id, access.id
        self.register_outputs({"file_system_id": self.file_system_id, "access_point_id": self.access_point_id})


def access_point(
    name: str,
    file_system_id: pulumi.Input[str],
    storage: Storage,
    tags: collections.abc.Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> aws.efs.AccessPoint:
    """Create an access point on ``file_system_id``: one directory, one owner, whatever user the client claims to be."""
    owner = storage.owner_uid
    return aws.efs.AccessPoint(
        name,
        file_system_id=file_system_id,
        posix_user=aws.efs.AccessPointPosixUserArgs(uid=owner, gid=owner),
        root_directory=aws.efs.AccessPointRootDirectoryArgs(
            path=DIRECTORY,
            creation_info=aws.efs.AccessPointRootDirectoryCreationInfoArgs(
                owner_uid=owner, owner_gid=owner, permissions="0755"
            ),
        ),
        tags=dict(tags),
        opts=opts,
    )
