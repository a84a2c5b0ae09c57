"""What is left of a cluster, what it costs, and the command that removes it. Pure: answers in, findings out."""

import dataclasses
import typing

from infra.account.questions import Answer, Unknown

HOURS_PER_MONTH = 730


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leftover:
    """One thing that is still there."""

    kind: str
    name: str
    bills: bool
    usd_per_month: float | None
    """None where no price is known here."""
    remove: str
    """The command that removes it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """How things of one kind are read from an answer."""

    name: str
    id_key: str
    bills: bool
    remove: str
    """A command, with {region} and {name}."""
    usd_per_month: float | None = None
    gone: tuple[str, ...] = ()
    """States in which it is gone or going."""
    state_key: str = "State"


def leftovers(kind: Kind, entries: typing.Iterable[typing.Any], region: str) -> list[Leftover]:
    """Return what is left among ``entries`` of one kind."""
    found = []
    for entry in entries:
        name = str(entry[kind.id_key])
        if _state(entry, kind.state_key) in kind.gone:
            continue
        remove = kind.remove.format(region=region, name=name)
        found.append(
            Leftover(kind=kind.name, name=name, bills=kind.bills, usd_per_month=kind.usd_per_month, remove=remove)
        )
    return found


def _state(entry: typing.Any, key: str) -> str:  # noqa: ANN401 - as AWS answers
    state = entry.get(key, "")
    return str(state["Name"] if isinstance(state, dict) else state)


def instances(answer: Answer) -> Answer:
    """Return the instances inside the reservations that DescribeInstances answers with."""
    if isinstance(answer, Unknown):
        return answer
    return tuple(instance for reservation in answer for instance in reservation["Instances"])


def exit_status(found: typing.Iterable[Leftover], unknown: typing.Sequence[str]) -> int:
    """Return 1 when something that bills is left, else 3 when something could not be asked, else 0."""
    return 1 if any(each.bills for each in found) else 3 if unknown else 0
