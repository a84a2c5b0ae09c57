"""A stored run in your own Python: one function, typed data."""

import dataclasses
import os

import boto3

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import read
from optimal_tp.verdict.findings import Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A stored run, audited and judged as ``optimal-tp report`` does it."""

    record: RunRecord
    """Settings, pins, candidates and turns, without the turns that the audit left out."""
    samples: tuple[Sample, ...]
    """One for each request of those turns."""
    verdict: Verdict
    notes: tuple[str, ...]
    """Parts of the files that could not be read, one sentence each."""


def load_run(source: str | os.PathLike[str]) -> LoadedRun:
    """Return the run in ``source``: a folder, or ``s3://bucket/prefix`` with your credentials.

    Raises ``optimal_tp.errors.SettingsError`` where there is no run to read, and botocore's errors where the bucket
    cannot be read.
    """
    place = os.fspath(source)
    found = read(place, boto3.client("s3") if place.startswith("s3://") else None)
    judged = retry(found)
    return LoadedRun(record=judged.record, samples=judged.samples, verdict=judged.verdict, notes=found.notes)
