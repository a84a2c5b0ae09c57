"""A run before it begins: its candidates by the plan, its progress, and the place of its results."""

import dataclasses
import pathlib
import time

import boto3

from optimal_tp.cluster.order import ModelOrder, Order
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import cores_held
from optimal_tp.measurement.progress import Progress
from optimal_tp.measurement.run import DegreeRecord
from optimal_tp.results.folder import Bucket
from optimal_tp.telemetry.console import Watcher


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptResults:
    """The folder and bucket of a run or a sweep."""

    folder: pathlib.Path
    bucket: Bucket | None

    def store(self, watching: Watcher) -> None:
        """Upload every file of the folder to the bucket, if there is one."""
        if self.bucket is not None:
            self.bucket.store(path for path in self.folder.iterdir() if path.is_file())
            watching.say(self.bucket.failure or f"results and report: {self.bucket.uri}")


def progress_of(order: Order, model: ModelOrder, run: str, model_title: str) -> Progress:
    """Return the progress of a run that has not begun."""
    now = time.time()
    return Progress(
        run=run,
        model=model.settings.model.name,
        model_title=model_title,
        candidates=tuple(model.targets),
        region=boto3.Session().region_name if order.publish else None,
        started=now,
        stage_started=now,
        written=now,
    )


def degree_of(candidate: Candidate, model: ModelOrder) -> DegreeRecord:
    """Return the record of ``candidate``: its servers, or the plan's reason why it has none."""
    urls, said = model.targets.get(candidate, ()), model.gates.get(candidate)
    cores = cores_held(candidate.degree, whole_chips=model.whole_chips) * len(urls)
    lacking = f"no --target {candidate.slug.removeprefix('tp')}=URL was given"
    return DegreeRecord(
        degree=candidate.degree,
        max_num_seqs=candidate.max_num_seqs,
        gate=None if urls else "no-capacity" if said is None else said.gate,
        reason=None if urls else lacking if said is None else said.reason,
        urls=urls,
        cores_used=cores,
        cores_allocated=cores,
        ready_seconds=None,
    )
