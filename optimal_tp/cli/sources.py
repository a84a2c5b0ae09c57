"""SOURCE, as commands take it: the folder of a stored run or sweep, or s3://bucket/prefix."""

import contextlib
import pathlib
import typing

import boto3
import botocore.exceptions

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.report.sweep import SweepSource, read_sweep, sweep_text
from optimal_tp.results.source import Source, read

NEWEST: typing.Final = "out/last"
"""Link to the newest run, which ``optimal-tp local`` keeps."""


def folder_of(source: str, name: str) -> pathlib.Path:
    """Return where the report of ``source`` goes: the folder itself, or ``out/<name>`` for one in a bucket."""
    return pathlib.Path("out") / name if source.startswith("s3://") else pathlib.Path(source)


def stored_run(source: str) -> Source:
    """Return the run. Raises SettingsError where there is none to read."""
    if not source.startswith("s3://"):
        return read(source)
    with _reachable(source):
        return read(source, boto3.client("s3"))


def stored_sweep(source: str) -> SweepSource | None:
    """Return the sweep, or None where ``source`` is none. Raises SettingsError where its bucket cannot be read."""
    if not source.startswith("s3://"):
        return None if sweep_text(source) is None else read_sweep(source)
    with _reachable(source):
        s3 = boto3.client("s3")
        return None if sweep_text(source, s3) is None else read_sweep(source, s3)


@contextlib.contextmanager
def _reachable(source: str) -> typing.Iterator[None]:
    """Turn what the bucket's client raises into one sentence."""
    try:
        yield
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        remedy = "check the name, your credentials and AWS_ENDPOINT_URL"
        rule = f"must be in a bucket that can be read: {error}"
        raise SettingsError([Problem(path="SOURCE", value=source, rule=rule, remedy=remedy)]) from error
