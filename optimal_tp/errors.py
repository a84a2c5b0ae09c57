"""The program's exit statuses, and its errors, each with its own.

OptimalTpError
├── SettingsError      input that breaks a rule; lists every bad key            exit 2
├── CapacityError      this machine or cluster cannot hold what was asked       exit 5
├── ServerFailed       a server did not start, answered as another, or died     exit 5
├── StorageFailed      results could not be kept (full disk, bucket gone)       exit 5
├── ResumeFailed       a run under way cannot be continued                      exit 5
└── Interrupted        SIGINT or SIGTERM ended the run                          exit 130
"""

import dataclasses
import enum
import pathlib
import typing


class Exit(enum.IntEnum):
    """What a shell sees when a command has ended."""

    GOOD = 0
    """Settled, planned, valid; nothing is wrong or left."""
    WRONG = 1
    """Preflight found something wrong, leftovers found something that bills, or a Job could not do its work."""
    BAD_INPUT = 2
    """Settings, options or files break a rule: the message lists every bad key with its value, rule and remedy."""
    OPEN = 3
    """Inconclusive, or something is unknown. Of a run, the report says what would settle it."""
    VOID = 4
    """The run failed its own audit, and the report says why. Its figures say nothing."""
    FAILED = 5
    """A server, port, disk, bucket or machine failed. What was measured until then is kept."""
    INTERRUPTED = 130
    """Ctrl-C or a signal ended the command. What was measured until then is kept."""


def gravest(statuses: typing.Iterable[Exit]) -> Exit:
    """Return the status that stands for those of several runs."""
    order = (Exit.INTERRUPTED, Exit.FAILED, Exit.BAD_INPUT, Exit.VOID, Exit.OPEN, Exit.GOOD)
    return min(statuses, key=order.index, default=Exit.GOOD)


class OptimalTpError(Exception):
    """Anything that ends the program with one clear sentence. ``exit_status`` is what the shell sees."""

    exit_status: typing.ClassVar[Exit] = Exit.FAILED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """One broken rule: where it is, the value found there, the rule, and what to do."""

    path: str
    value: object
    rule: str
    remedy: str

    def __str__(self) -> str:
        """Return the sentence a reader sees."""
        return f"{self.path} is {shown(self.value)}; {self.rule}; {self.remedy}"


def shown(value: object) -> str:
    """Return ``value`` as the reader wrote it: who left a key out wrote no None, and no path is an object."""
    if value is None:
        return "not set"
    return repr(str(value)) if isinstance(value, pathlib.PurePath) else repr(value)


class SettingsError(OptimalTpError):
    """Input that breaks rules. ``problems`` has every broken rule, in the order of the input."""

    exit_status = Exit.BAD_INPUT

    def __init__(self, problems: typing.Sequence[Problem]) -> None:
        """Keep ``problems`` (at least one) and join their sentences, one a line."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class CapacityError(OptimalTpError):
    """This machine or cluster cannot hold what was asked."""


class ServerFailed(OptimalTpError):  # noqa: N818 - reads as what happened
    """A server did not start, is not the one that was asked for, or died."""


class StorageFailed(OptimalTpError):  # noqa: N818 - reads as what happened
    """Results could not be kept."""


class ResumeFailed(OptimalTpError):  # noqa: N818 - reads as what happened
    """The stored state of a run under way cannot be continued; start a new run in a folder of its own."""


class Interrupted(OptimalTpError):  # noqa: N818 - reads as what happened
    """A signal ended the run; what was measured until then is kept."""

    exit_status = Exit.INTERRUPTED
