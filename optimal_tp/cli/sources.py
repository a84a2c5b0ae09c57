"""Read the argument RUN of commands: the folder of a stored run or sweep, or s3://bucket/prefix."""

import contextlib
import pathlib
import typing

import boto3
import botocore.exceptions

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.report.sweep import SweepSource, read_sweep, sweep_text
from optimal_tp.results.source import Source, read

if typing.TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NEWEST: typing.Final = "out/last"
"""Link to the newest run, which ``optimal-tp local`` keeps."""


def folder_of(source: str, name: str) -> pathlib.Path:
    """Return the folder for the report of ``source``: the source's own, or ``out/<name>`` for one in a bucket."""
    return pathlib.Path("out") / name if source.startswith("s3://") else pathlib.Path(source)


def stored_run(source: str, s3: "S3Client | None" = None) -> Source:
    """Return the run, read by ``s3`` or with the shell's credentials. Raises SettingsError if there is none to read."""
    if not source.startswith("s3://"):
        return read(source)
    with _reachable(source):
        return read(source, s3 or boto3.client("s3"))


def stored_sweep(source: str, s3: "S3Client | None" = None) -> SweepSource | None:
    """Return the sweep; None if ``source`` is not one. Raises SettingsError if its bucket cannot be read."""
    if not source.startswith("s3://"):
        return None if sweep_text(source) is None else read_sweep(source)
    with _reachable(source):
        s3 = s3 or boto3.client("s3")
        return None if sweep_text(source, s3) is None else read_sweep(source, s3)


@contextlib.contextmanager
def _reachable(source: str) -> typing.Iterator[None]:
    """Turn errors of the bucket's client into one sentence."""
    try:
        yield
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        remedy = "check the name, your credentials and AWS_ENDPOINT_URL"
        rule = f"must be in a bucket that can be read: {error}"
        raise SettingsError([Problem(path="RUN", value=source, rule=rule, remedy=remedy)]) from error
