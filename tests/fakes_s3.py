"""S3 in memory, as far as the program asks it."""

import io
import pathlib
import typing

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
else:
    S3Client = object


class FakeS3(S3Client):
    """Objects by bucket and key. What it is asked raises ``error`` while there is one."""

    def __init__(self, kept: typing.Mapping[str, bytes] | None = None, *, cut: int = 0) -> None:
        """Begin with ``kept``, by "bucket/key"; a download loses ``cut`` bytes at its end."""
        self.kept = dict(kept or {})
        self.cut = cut
        self.error: Exception | None = None

    def _ask(self) -> None:
        if self.error is not None:
            raise self.error

    def put_object(self, **given: typing.Any) -> typing.Any:
        """Keep the body."""
        self._ask()
        self.kept[f"{given['Bucket']}/{given['Key']}"] = given["Body"]

    def get_object(self, **asked: typing.Any) -> typing.Any:
        """Return what was kept."""
        self._ask()
        return {"Body": io.BytesIO(self.kept[f"{asked['Bucket']}/{asked['Key']}"])}

    def list_objects_v2(self, **asked: typing.Any) -> typing.Any:
        """List keys that begin with the prefix; without any there are no contents."""
        self._ask()
        start = f"{asked['Bucket']}/"
        found = sorted(name for name in self.kept if name.startswith(start + asked["Prefix"]))
        keys = [{"Key": name.removeprefix(start), "Size": len(self.kept[name])} for name in found]
        return {"Contents": keys} if keys else {}

    def get_paginator(self, operation_name: str) -> typing.Any:
        """Return itself for the one listing that is used."""
        assert operation_name == "list_objects_v2"
        return self

    def paginate(self, **asked: str) -> list[dict[str, typing.Any]]:
        """Return a page with one object, one with the others, and an empty one."""
        keys = self.list_objects_v2(**asked).get("Contents", [])
        return [{"Contents": keys[:1]}, {"Contents": keys[1:]}, {}]

    def download_file(self, Bucket: str, Key: str, Filename: str, *_: typing.Any) -> None:  # noqa: N803 - boto3's
        """Write one object to a file."""
        content = self.kept[f"{Bucket}/{Key}"]
        pathlib.Path(Filename).write_bytes(content[: len(content) - self.cut])
