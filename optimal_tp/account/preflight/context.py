"""What every check is given: the stack, who is asked, and what this machine is like."""

import collections.abc
import dataclasses
import datetime as dt
import typing

from optimal_tp.account.questions import Answer, Ask, Unknown
from optimal_tp.settings.infra import InfraSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """The experiment as far as AWS is concerned. Hours count from now until the last node is gone."""

    nodes: int
    """Neuron nodes at the same time, by the plan: at most ``infra.neuron.maximum_nodes``."""
    up_hours: float
    """What `pulumi up` is expected to take: it needs credentials as long."""
    expected_hours: float
    longest_hours: float | None
    """When the guard stops it at the latest; None where nobody does."""
    own_image: str | None
    """Of the load generator, where a setting names one."""
    bucket: str | None
    """Of the results, where a setting names one."""
    alarms: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Credentials:
    """How long the credentials in use last."""

    source: str
    """Where they come from, as botocore calls it."""
    end: dt.datetime | typing.Literal["none", "renewed"] | Unknown
    """With a time zone; ``renewed`` where whoever uses them gets new ones by itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """One preflight. ``now`` has a time zone."""

    settings: InfraSettings
    experiment: Experiment
    ask: Ask
    account: str
    """Of 12 digits, whose credentials ask."""
    caller_arn: str
    """Of the user or the role's session that asks."""
    credentials: Credentials
    address: collections.abc.Callable[[], Answer]
    """The IPv4 address that AWS sees this machine under."""
    logins: collections.abc.Callable[[str], Answer]
    """A registry's host to the files that have a login of it."""
    manifest: collections.abc.Callable[[str], Answer]
    """A manifest's URL to its digest, nothing, or why nobody knows."""
    has_chart: collections.abc.Callable[[str], bool]
    """Whether a local directory holds a chart."""
    aws_command: str | None
    """Path of the command; None if there is none."""
    now: dt.datetime
