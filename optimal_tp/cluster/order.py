"""What the command line of ``run``, ``sweep`` and ``share`` asked for, checked."""

import dataclasses
import pathlib

from optimal_tp.cluster.accounting import AccountWords
from optimal_tp.cluster.scaling import Rounds
from optimal_tp.settings.workload import WorkloadSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asked for, checked."""

    settings: WorkloadSettings
    targets: dict[int, tuple[str, ...]]
    """URLs by degree, ascending; several are replicas."""
    folder: pathlib.Path
    """Where the run is kept on this machine."""
    bucket: tuple[str, str] | None
    """Bucket and prefix of ``s3://bucket/prefix``."""
    publish: bool
    steady: bool
    ignore_eos: bool
    ready_timeout_seconds: float
    pins: dict[str, str]
    rounds: Rounds | None
    """Degrees that run at the same time; None where all do."""
    stops_servers: bool
    """Stop the servers of ``rounds`` when the run has ended."""
    deadline_file: pathlib.Path | None
    """Where the date stands before which the run ends."""
    accounts: AccountWords | None
    """None keeps no receipt: nobody pays for the servers by the hour."""
    stays: bool
    """Wait for a signal when all is done: a Deployment would begin again."""
    others: tuple[str, ...] = ()
    """Deployments of a sweep's other models."""
    makes_room: bool = True
    """True if a model's servers run only while the others' are stopped."""
    model_title: str = ""
    """The model's, before the degree in the metrics of a sweep; empty for one model alone."""
    name: str | None = None
    """Folder of the run; None: the run's own name."""
