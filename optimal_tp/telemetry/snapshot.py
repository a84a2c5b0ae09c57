"""What can be seen of a run from elsewhere: how far the newest one in the bucket is, and its last minutes."""

import dataclasses
import datetime as dt
import json
import re
import typing

import botocore.exceptions

from optimal_tp.errors import aws_code
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.metrics import BY_NAME, NAMESPACE, model_dimension
from optimal_tp.measurement.progress import PROGRESS, SILENT_SECONDS, Progress, decode_progress
from optimal_tp.measurement.run import VERDICT
from optimal_tp.measurement.sweep import SWEEP, VERDICTS, Sweep, decode_sweep

if typing.TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef
    from mypy_boto3_s3 import S3Client

_RUN = re.compile(r"\d{8}T\d{6}Z-[^/]+")
"""Names of runs and sweeps begin with their UTC start, so the last in order is the newest."""
SHOWN = ("OutputTokensPerSecondPerCore", "RPS", "WithinLimits")
"""Metrics whose last values are shown, each by its first statistic."""
REPORT_SECONDS = 120.0
"""A report that is not there so long after the last word will not come: the run failed."""
_STAMP = len("20260701T120000Z")
_MINUTES = 10
_FIRST_LINES = 3
_FIRST_POD = "pod-0"
_ABSENT = ("NoSuchKey", "404")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One look at the bucket. ``None`` stands for what is not there."""

    place: str
    """Where the run is: ``s3://bucket/prefix/run``; the runs' own prefix before there is one."""
    root: str = ""
    """Where all of it is: the sweep's own place where it is one, else the run's; empty before there is one."""
    progress: Progress | None
    sweep: Sweep | None
    """The sweep that the run is a leg of."""
    answers: tuple[str, ...]
    """What the report says, once it is there: of a run its first lines, of a sweep a line per model."""
    now: float
    """Seconds since 1970."""
    values: dict[str, dict[Candidate, float]]
    """Last values by metric and candidate."""

    @property
    def started(self) -> float | None:
        """Return when it began, the sweep where it is one, in seconds since 1970."""
        if self.sweep is not None:
            return dt.datetime.strptime(self.sweep.sweep[:_STAMP], "%Y%m%dT%H%M%S%z").timestamp()
        return None if self.progress is None else self.progress.started

    @property
    def silent_seconds(self) -> float:
        """How long the load generator has written nothing."""
        return 0.0 if self.progress is None else self.now - self.progress.written

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is measured: the run has ended, and it is its sweep's last."""
        if self.sweep is not None:
            return all(leg.state in ("ended", "failed") for leg in self.sweep.legs)
        return self.progress is not None and self.progress.is_over

    @property
    def is_over(self) -> bool:
        """Whether no more is to come: the answers are there, or there is no hope of any."""
        return self.has_ended and (bool(self.answers) or self.silent_seconds > REPORT_SECONDS)

    @property
    def is_silent(self) -> bool:
        """Whether the load generator seems to be gone, in the middle of its work."""
        return not self.has_ended and self.silent_seconds > SILENT_SECONDS


class Sight:
    """Looks at the runs below a prefix. Raises what boto3 raises where the bucket cannot be read."""

    def __init__(
        self,
        results: str,
        s3: "S3Client",
        cloudwatch: "typing.Callable[[str], CloudWatchClient]",
    ) -> None:
        """``results`` is ``s3://bucket/prefix``; ``cloudwatch`` makes a client for a region."""
        self._bucket, _, prefix = results.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._s3 = s3
        self._cloudwatch = cloudwatch
        self._clients: dict[str, CloudWatchClient] = {}

    def look(self, now: float) -> Snapshot:
        """Return what is there at ``now``."""
        name = self._newest()
        folder = f"{self._prefix}{name}" if name else self._prefix.rstrip("/")
        sweep = self._sweep(folder) if name else None
        if sweep is not None:
            folder = f"{folder}/{_leg(sweep)}"
        text = self._progress_text(folder) if name else None
        progress = None if text is None else _progress(text)
        scene = Snapshot(
            place=f"s3://{self._bucket}/{folder}",
            root=f"s3://{self._bucket}/{self._prefix}{name}" if name else "",
            progress=progress,
            sweep=sweep,
            answers=(),
            now=now,
            values={} if progress is None else self._values(progress, now),
        )
        if not scene.has_ended:
            return scene
        stored = self._text(f"{self._prefix}{name}/{VERDICT if sweep is None else VERDICTS}")
        return dataclasses.replace(scene, answers=() if stored is None else _answers(stored))

    def _progress_text(self, folder: str) -> str | None:
        """Return how far the run is.

        Where several pods share it, how far the first is, for all take the same turns; before they begin, how far the
        one is that brings their servers up.
        """
        found = self._text(f"{folder}/{_FIRST_POD}/{PROGRESS}")
        return self._text(f"{folder}/{PROGRESS}") if found is None else found

    def _newest(self) -> str | None:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"
        )
        found = (
            each["Prefix"].removeprefix(self._prefix).rstrip("/")
            for page in pages
            for each in page.get("CommonPrefixes", [])
        )
        return max((name for name in found if _RUN.fullmatch(name)), default=None)

    def _sweep(self, folder: str) -> Sweep | None:
        text = self._text(f"{folder}/{SWEEP}")
        return None if text is None else decode_sweep(text)

    def _text(self, key: str) -> str | None:
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read().decode("utf-8", errors="replace")
        except botocore.exceptions.ClientError as error:
            if aws_code(error) in _ABSENT:
                return None
            raise

    def _values(self, progress: Progress, now: float) -> dict[str, dict[Candidate, float]]:
        if progress.region is None:
            return {}
        if progress.region not in self._clients:
            self._clients[progress.region] = self._cloudwatch(progress.region)
        asked = {f"m{number}": pair for number, pair in enumerate((m, c) for m in SHOWN for c in progress.candidates)}
        end = dt.datetime.fromtimestamp(now, dt.UTC)
        answer = self._clients[progress.region].get_metric_data(
            MetricDataQueries=[
                _query(name, metric, candidate, progress) for name, (metric, candidate) in asked.items()
            ],
            StartTime=end - dt.timedelta(minutes=_MINUTES),
            EndTime=end,
            ScanBy="TimestampDescending",
        )
        found: dict[str, dict[Candidate, float]] = {}
        for result in answer["MetricDataResults"]:
            metric, candidate = asked[result["Id"]]
            if result["Values"]:
                found.setdefault(metric, {})[candidate] = result["Values"][0]
        return found


def _query(name: str, metric: str, candidate: Candidate, progress: Progress) -> "MetricDataQueryTypeDef":
    values = {"Model": model_dimension(candidate, progress.model_title), "Status": "Success"}
    described = BY_NAME[metric]
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": NAMESPACE,
                "MetricName": metric,
                "Dimensions": [{"Name": each, "Value": values[each]} for each in described.dimensions],
            },
            "Period": 60,
            "Stat": described.statistics[0],
        },
    }


def _leg(sweep: Sweep) -> str:
    """Return the folder of the model that is measured, else of the last one that was."""
    begun = [leg for leg in sweep.legs if leg.state != "waiting"]
    running = [leg for leg in begun if leg.state == "running"]
    return (running or begun or list(sweep.legs))[-1].folder


def _progress(text: str) -> Progress | None:
    try:
        return decode_progress(text)
    except ValueError:
        return None


def _answers(text: str) -> tuple[str, ...]:
    """Return what a verdict or a sweep's verdicts say in words; nothing for a text that holds neither."""
    try:
        data = json.loads(text)
        if "models" in data:
            return tuple(f"{row['model']}: {row['sentence']}" for row in data["models"])
        return tuple(str(claim["sentence"]) for claim in data["claims"][:_FIRST_LINES])
    except (ValueError, KeyError, TypeError):
        return ()
