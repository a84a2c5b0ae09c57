"""The input of every check: the stack, the account, and this machine."""

import collections.abc
import dataclasses
import datetime as dt
import typing

from optimal_tp.account.questions import Answer, Ask, Unknown
from optimal_tp.settings.infra import InfraSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentNeeds:
    """The experiment as far as AWS is concerned. Hours count from now until the last node is gone."""

    nodes: int
    """Neuron nodes at the same time, by the plan: at most ``infra.neuron.maximum_nodes``."""
    up_hours: float
    """Expected time of `pulumi up`, for which credentials must last."""
    expected_hours: float
    longest_hours: float | None
    """When the guard stops it at the latest; None without a guard."""
    own_image: str | None
    """Image of the load generator, if a setting names one."""
    bucket: str | None
    """Bucket of the results, if a setting names one."""
    dashboard: str
    """Name of the dashboard; those of the alarms begin with it."""
    alarms: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Credentials:
    """How long the credentials in use last."""

    source: str
    """Botocore's name of their source."""
    end: dt.datetime | typing.Literal["none", "renewed"] | Unknown
    """Their expiry, with a time zone; ``renewed`` if AWS clients renew them automatically."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """One preflight. ``now`` has a time zone."""

    settings: InfraSettings
    experiment: ExperimentNeeds
    ask: Ask
    account: str
    """The caller's account, 12 digits."""
    caller_arn: str
    """ARN of the calling user or role session."""
    credentials: Credentials
    address: collections.abc.Callable[[], Answer]
    """Returns this machine's IPv4 address as AWS sees it."""
    logins: collections.abc.Callable[[str], Answer]
    """Returns, for a registry's host, the files that have a login for it."""
    manifest: collections.abc.Callable[[str], Answer]
    """Returns, for a manifest's URL, its digest, nothing, or why it is not known."""
    has_chart: collections.abc.Callable[[str], bool]
    """Returns whether a local directory holds a chart."""
    aws_command: str | None
    """Path of the command; None if there is none."""
    now: dt.datetime
