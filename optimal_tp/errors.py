"""The program's exit statuses, and its errors, each with its own.

OptimalTpError
├── SettingsError      input that breaks a rule; lists every bad key            exit 2
├── CapacityError      this machine or cluster cannot hold what was asked       exit 5
├── ServerFailed       a server did not start, answered as another, or died     exit 5
├── StorageFailed      results could not be kept (full disk, bucket gone)       exit 5
├── ResumeFailed       a run under way cannot be continued                      exit 5
└── Interrupted        SIGINT or SIGTERM ended the run                          exit 130
"""

import collections.abc
import dataclasses
import enum
import typing

T = typing.TypeVar("T")


class Exit(enum.IntEnum):
    """What a shell sees when a command has ended."""

    GOOD = 0
    """Settled, planned, valid; nothing is wrong or left."""
    WRONG = 1
    """Preflight or doctor found something wrong, leftovers something that bills, `compare --fail-on-worse` a worse
    candidate, or a Job could not do its work."""
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
    """One broken rule: where it is, the rule ("must be ..."), the value found there, and what to do if that is more."""

    path: str
    value: object
    """What was found; None for something that is not set, ``...`` where there is nothing to show."""
    rule: str
    remedy: str = ""
    """Empty where the rule says it all."""
    file: str = ""
    """The file that has the key; empty for options and arguments."""
    line: int | None = None
    """Line of the key in ``file``, from 1; None where nobody looked or the key is not in it."""

    def __str__(self) -> str:
        """Return the sentence a reader sees."""
        file = self.file if self.line is None else f"{self.file}:{self.line}"
        where = f"{file} {self.path}".strip()
        found = " (not set)" if self.value is None else f" (got {shown(self.value)})"
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}: {self.rule}{'' if self.value is ... else found}{remedy}"


_LONGEST_VALUE = 120
"""Characters; a longer value is cut, and its key says where to read all of it."""


def shown(value: object) -> str:
    """Return ``value`` as YAML has it: true for True, {a: 1} for a dict, a path as its text; None as "not set"."""
    if value is None:
        return "not set"
    text = _yaml(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _yaml(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_yaml(each)}' for key, each in value.items())}}}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    text = str(value)
    return f"'{text}'" if "'" not in text else f'"{text}"'


def quantity(count: int, one: str, many: str) -> str:
    """Return ``count`` with its noun, and the verb if there is one: "1 server is", "2 servers are"."""
    return f"{count:,} {one if count == 1 else many}"


_LIKE = 0.6
"""Least likeness, as difflib counts it, of a misspelt word."""


def likely(word: str, known: typing.Iterable[str]) -> str | None:
    """Return which of the ``known`` words was probably meant; None where none is like it."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=_LIKE)
    return by_lower[found[0]] if found else None


class SettingsError(OptimalTpError):
    """Input that breaks rules. ``problems`` has every broken rule, in the order of the input."""

    exit_status = Exit.BAD_INPUT

    def __init__(self, problems: typing.Sequence[Problem]) -> None:
        """Keep ``problems`` (at least one) and join their sentences, one a line."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def or_problems(parse: collections.abc.Callable[[], T], problems: list[Problem]) -> T | None:
    """Return what ``parse`` gives; where it raises SettingsError None, and ``problems`` has the broken rules too."""
    try:
        return parse()
    except SettingsError as error:
        problems += error.problems
        return None


def aws_code(error: Exception) -> str:
    """Return AWS's code of ``error``, an AWS client's; empty if it has no answer of AWS."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


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
