"""Store a run's record and samples: in a folder first, then in a bucket where there is one."""

import collections.abc
import pathlib
import typing

import botocore.exceptions

from optimal_tp.errors import StorageFailed, quantity
from optimal_tp.measurement.progress import PROGRESS
from optimal_tp.measurement.run import RunRecord, encode_run
from optimal_tp.measurement.whole_file import replace_file

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RECORD = "run.json"
"""Name of the run's record."""


def samples_name(part: int) -> str:
    """Return the name of one part of the samples: "samples-0000.jsonl"."""
    return f"samples-{part:04d}.jsonl"


class Bucket:
    """A prefix of an S3 bucket. Each call tries again to store the files that an earlier one could not."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        """Put objects into ``bucket`` below ``prefix`` (no slash at its end)."""
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._waiting: dict[str, pathlib.Path] = {}
        self.failure: str | None = None
        """Why the last call stored less than it was given; None when all is stored."""

    @property
    def uri(self) -> str:
        """Where the objects are: ``s3://bucket/prefix``."""
        return f"s3://{self._bucket}/{self._prefix}"

    def put_progress(self, content: bytes) -> str | None:
        """Store how far the run is; return why that failed, None if it did not. A failure is not tried again."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{PROGRESS}", Body=content)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            return f"{self.uri}/{PROGRESS} was not stored ({error})"
        return None

    def fetch(self, folder: pathlib.Path, wanted: typing.Callable[[str], bool], last: str) -> None:
        """Copy the objects whose names are ``wanted`` into ``folder``, the one called ``last`` after all others.

        A folder that has ``last`` has all of them. Raises StorageFailed where the bucket cannot be read or the folder
        not written. The process must then be started again: a new run in its place would be paid twice.
        """
        start = f"{self._prefix}/"
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start)
            names = [item["Key"].removeprefix(start) for page in pages for item in page.get("Contents", ())]
            for name in sorted(filter(wanted, names), key=lambda name: (name == last, name)):
                body = self._client.get_object(Bucket=self._bucket, Key=f"{start}{name}")["Body"].read()
                replace_file(folder / name, body)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise StorageFailed(f"the stored part of the run in {self.uri} cannot be read ({error})") from error
        except OSError as error:
            raise storage_failed(folder, error) from None

    def store(self, files: collections.abc.Iterable[pathlib.Path]) -> None:
        """Store ``files`` under their names, and those left from earlier calls; ``failure`` says what was not."""
        self._waiting |= {file.name: file for file in files}
        self.failure = None
        for name, file in list(self._waiting.items()):
            try:
                self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}", Body=file.read_bytes())
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                waiting = quantity(len(self._waiting), "file is", "files are")
                self.failure = f"{waiting} not in {self.uri} yet ({error}), but in {file.parent}"
                return
            del self._waiting[name]


def new_folder(folder: pathlib.Path, *, exist_ok: bool = False) -> pathlib.Path:
    """Make ``folder``, which must not exist unless ``exist_ok``, and return its absolute path. Raises StorageFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        raise storage_failed(folder, error) from None
    return folder.resolve()


def write_record(folder: pathlib.Path, record: RunRecord) -> pathlib.Path:
    """Write ``record`` into ``folder`` whole or not at all, and return its path.

    Raises StorageFailed when the folder cannot be written.
    """
    return write_whole(folder, RECORD, encode_run(record))


def write_whole(folder: pathlib.Path, name: str, text: str) -> pathlib.Path:
    """Write ``text`` into ``folder`` as ``name``, whole or not at all, and return its path.

    Raises StorageFailed when the folder cannot be written.
    """
    path = folder / name
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise storage_failed(folder, error) from None
    return path


def storage_failed(folder: pathlib.Path, error: OSError) -> StorageFailed:
    """Return the error that says that ``folder`` cannot be written."""
    return StorageFailed(
        f"results cannot be written to {folder} ({error.strerror}); earlier results are intact; "
        "free space there or name another folder"
    )
