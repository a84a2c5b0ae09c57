"""Stored data: the file system with its mount targets and access points, the results bucket, log groups."""

import collections.abc
import typing

from optimal_tp.account.changes import ChangingCall, call
from optimal_tp.account.leftovers import questions
from optimal_tp.account.leftovers.kinds import Kind, Leftover, state_of
from optimal_tp.account.leftovers.monthly_prices import FILE_GB, GB, LOG_GB, OBJECT_GB
from optimal_tp.account.leftovers.scope import KindSearch, Scope, is_made_of
from optimal_tp.account.questions import pairs, tags_of
from optimal_tp.facts import names

_MADE_UP_BUCKET: typing.Final = "results-bucket"
_FLOW_LOG_GROUP: typing.Final = "network-flow-logs"
_AT_ONCE = 1000
"""Most objects that one DeleteObjects takes."""
_GONE = "deleted"


def _file_systems(scope: Scope, look: KindSearch) -> list[Leftover]:
    found = []
    for each in _own_file_systems(scope, look):
        size = each.get("SizeInBytes", {}).get("Value")
        found.append(
            Leftover(
                kind="file system",
                name=each["FileSystemId"],
                bills=True,
                price=None if size is None else FILE_GB.times(size / GB),
                is_going=state_of(each, "LifeCycleState") == "deleting",
                steps=(call("efs", "delete_file_system", FileSystemId=each["FileSystemId"]),),
            )
        )
    return found


def _own_file_systems(scope: Scope, look: KindSearch) -> list[typing.Any]:
    if not scope.makes_cluster:
        return []
    found = [each for each in look(questions.FILE_SYSTEMS) if scope.owns(tags_of(each), look)]
    return [each for each in found if state_of(each, "LifeCycleState") != _GONE]


def _mount_targets(scope: Scope, look: KindSearch) -> list[Leftover]:
    found = [
        target
        for files in _own_file_systems(scope, look)
        for target in look(questions.MOUNT_TARGETS, FileSystemId=files["FileSystemId"])
    ]
    return _parts("mount target", found, key="MountTargetId", removal="delete_mount_target")


def _access_points(scope: Scope, look: KindSearch) -> list[Leftover]:
    """Return all access points of our file system; on an existing file system, those with our tags."""
    existing = scope.settings.existing
    if existing is None:
        files = [each["FileSystemId"] for each in _own_file_systems(scope, look)]
        found = [each for id_ in files for each in look(questions.ACCESS_POINTS, FileSystemId=id_)]
    else:
        points = look(questions.ACCESS_POINTS, FileSystemId=existing.file_system_id)
        found = [each for each in points if scope.owns(tags_of(each), look)]
    return _parts("access point", found, key="AccessPointId", removal="delete_access_point")


def _parts(kind: str, found: collections.abc.Iterable[typing.Any], *, key: str, removal: str) -> list[Leftover]:
    """Return the parts of a file system that are of one ``kind``."""
    return [
        Leftover(
            kind=kind,
            name=each[key],
            is_going=state_of(each, "LifeCycleState") == "deleting",
            steps=(call("efs", removal, **{key: each[key]}),),
        )
        for each in found
        if state_of(each, "LifeCycleState") != _GONE
    ]


def _buckets(scope: Scope, look: KindSearch) -> list[Leftover]:
    wanted = scope.bucket
    ours = [
        name
        for name in (each["Name"] for each in look(questions.BUCKETS))
        if (is_made_of(name, _MADE_UP_BUCKET) if wanted is None else name == wanted)
        and scope.owns(pairs(look(questions.BUCKET_TAGS, Bucket=name)), look)
    ]
    return [_bucket(scope, name, look) for name in ours]


def _bucket(scope: Scope, name: str, look: KindSearch) -> Leftover:
    doubts = len(look.unknown)
    versions = look(questions.VERSIONS, Bucket=name)
    objects = [*versions, *look(questions.MARKERS, Bucket=name)]
    is_known = len(look.unknown) == doubts
    is_kept = scope.keeps_bucket
    return Leftover(
        kind="bucket",
        name=name,
        bills=bool(objects) or not is_known,
        price=OBJECT_GB.times(sum(each["Size"] for each in versions) / GB) if is_known else None,
        is_kept=is_kept,
        spared="loadtest.results.on_destroy keeps it" if is_kept else None,
        steps=(
            *_emptied(name, objects),
            call("s3", "delete_bucket", Bucket=name),
        ),
    )


def _emptied(name: str, objects: collections.abc.Sequence[typing.Any]) -> list[ChangingCall]:
    """Return the calls that delete every version, without which AWS refuses to delete the bucket."""
    keys = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in objects]
    every = "{Objects: [Versions, DeleteMarkers][].{Key: Key, VersionId: VersionId}}"
    listed = f"aws s3api list-object-versions --bucket {name} --max-items {_AT_ONCE} --output json --query '{every}'"
    return [
        ChangingCall(
            service="s3",
            operation="delete_objects",
            parameters={"Bucket": name, "Delete": {"Objects": keys[start : start + _AT_ONCE], "Quiet": True}},
            shown=f'aws s3api delete-objects --bucket {name} --delete "$({listed})"',
        )
        for start in range(0, len(keys), _AT_ONCE)
    ]


def _log_groups(scope: Scope, look: KindSearch) -> list[Leftover]:
    if not scope.makes_cluster:
        return []
    # EKS's log group is known by its name: EKS writes late events and recreates the group, without our tags.
    of_cluster = names.control_plane_log_group(scope.cluster_name)
    found = [
        each for each in look(questions.LOG_GROUPS, logGroupNamePrefix=of_cluster) if each["logGroupName"] == of_cluster
    ]
    found += [
        each
        for each in look(questions.LOG_GROUPS, logGroupNamePrefix=_FLOW_LOG_GROUP)
        if is_made_of(each["logGroupName"], _FLOW_LOG_GROUP) and scope.owns(_log_tags(each["arn"], look), look)
    ]
    return [
        Leftover(
            kind="log group",
            name=each["logGroupName"],
            # If AWS does not state the size, there may be logs.
            bills=each.get("storedBytes") != 0,
            price=None if each.get("storedBytes") is None else LOG_GB.times(each["storedBytes"] / GB),
            steps=(call("logs", "delete_log_group", logGroupName=each["logGroupName"]),),
        )
        for each in found
    ]


def _log_tags(arn: str, look: KindSearch) -> dict[str, str]:
    told = look(questions.LOG_GROUP_TAGS, resourceArn=arn.removesuffix(":*"))
    return dict(told[0]) if told else {}


_FILES: typing.Final = (questions.FILE_SYSTEMS,)
FILES: typing.Final = (
    # Mount targets before the file system, and before the subnets and the security group that they lie in.
    Kind(
        name="mount target",
        look=_mount_targets,
        asks=(*_FILES, questions.MOUNT_TARGETS),
        rights=("elasticfilesystem:DeleteMountTarget",),
        patience_seconds=600,
    ),
    Kind(
        name="access point",
        look=_access_points,
        asks=(*_FILES, questions.ACCESS_POINTS),
        rights=("elasticfilesystem:DeleteAccessPoint",),
        patience_seconds=120,
    ),
    Kind(name="file system", look=_file_systems, asks=_FILES, rights=("elasticfilesystem:DeleteFileSystem",)),
)
STORES: typing.Final = (
    # After their writers, which would create them again.
    Kind(
        name="log group",
        look=_log_groups,
        asks=(questions.LOG_GROUPS, questions.LOG_GROUP_TAGS),
        rights=("logs:DeleteLogGroup",),
    ),
    Kind(
        name="bucket",
        look=_buckets,
        asks=(questions.BUCKETS, questions.BUCKET_TAGS, questions.VERSIONS, questions.MARKERS),
        rights=("s3:DeleteBucket", "s3:DeleteObject", "s3:DeleteObjectVersion"),
    ),
)
