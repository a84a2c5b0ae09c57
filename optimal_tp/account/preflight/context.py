"""What every check is given: the stack, who is asked, and what this machine is like."""

import collections.abc
import dataclasses
import datetime as dt

from optimal_tp.account.preflight.experiment import Experiment
from optimal_tp.account.questions import Answer, Ask
from optimal_tp.settings.infra import InfraSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """One preflight. ``now`` has a time zone."""

    settings: InfraSettings
    experiment: Experiment
    ask: Ask
    account: str
    """Of 12 digits, whose credentials ask."""
    manifest: collections.abc.Callable[[str], Answer]
    """A manifest's URL to its digest, nothing, or why nobody knows."""
    has_chart: collections.abc.Callable[[str], bool]
    """Whether a local directory holds a chart."""
    aws_command: str | None
    """Path of the command; None if there is none."""
    now: dt.datetime
