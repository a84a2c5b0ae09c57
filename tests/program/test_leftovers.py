"""Leftovers against moto: each kind left alone is found, and nothing else; nothing left is nothing found."""

import collections.abc

import pytest

from optimal_tp.account.inquiry import Inquiry
from optimal_tp.account.leftovers.kinds import exit_status
from optimal_tp.account.leftovers.search import KINDS, search
from tests.fakes_leftovers import GOES_WITH, MAKERS, Account, Found, account, resources
from tests.fakes_pulumi import Recorded
from tests.fakes_stack_files import ROOT
from tests.fakes_strays import STRAYS, neighbours

STACKS = ("dev", "prod")
CASES = [
    pytest.param(stack, type_, id=f"{stack} {type_.rsplit(':', maxsplit=1)[-1]}")
    for stack in STACKS
    for type_ in MAKERS
    if type_ in resources(stack)
]


def seen(at: Account) -> tuple[Found, list[str]]:
    """Return kinds and names of what is found, and what nobody could tell."""
    found, unknown = search(at.scope, Inquiry(at.clients))
    return {(each.kind, each.name) for each in found}, unknown


def test_leftovers_looks_for_every_kind_that_the_program_makes() -> None:
    """A new resource type needs a maker, or a reason why it goes with another; no kind is looked for in vain."""
    registered = {type_ for stack in STACKS for type_ in resources(stack)}
    kinds = {kind.name for kind in KINDS}

    assert registered == {*MAKERS, *GOES_WITH}
    assert {*GOES_WITH.values()} <= kinds


@pytest.mark.parametrize(("stack", "type_"), CASES)
def test_each_kind_left_is_found(stack: str, type_: str) -> None:
    """Every resource of this type, as the program registers it, is found by name or tags, and nothing beside it."""
    with account(stack) as at:
        made: Found = set().union(*(MAKERS[type_](at, each) for each in _of_type(stack, type_)))

        assert seen(at) == (made, [])


def _of_type(stack: str, type_: str) -> collections.abc.Sequence[Recorded]:
    found = resources(stack)[type_]
    # What has to be made with another thing is made once.
    return found[:1] if type_ in {"aws:efs/accessPoint:AccessPoint", "aws:efs/mountTarget:MountTarget"} else found


@pytest.mark.parametrize("who", STRAYS)
def test_what_others_left_for_us_is_found(who: str) -> None:
    """Karpenter, EKS, its drivers and the controller of Services tag what they make with the cluster's name."""
    with account("dev") as at:
        made = STRAYS[who](at)

        assert seen(at) == (made, [])


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_left_is_nothing_found(stack: str) -> None:
    """An account with a neighbour's things in it has none of ours."""
    with account(stack) as at:
        neighbours(at)
        found, unknown = search(at.scope, Inquiry(at.clients))

    assert (found, unknown, exit_status(found, unknown)) == ([], [], 0)


def test_the_page_names_every_kind() -> None:
    """What is looked for stands in the table of docs/reference/leftovers.md."""
    page = (ROOT / "docs/reference/leftovers.md").read_text(encoding="utf-8")
    named = {
        kind.strip()
        for line in page.splitlines()
        if line.startswith("| ")
        for kind in line[2:].split("|")[0].split(",")
    }

    assert named - {"kind", "---"} == {kind.name for kind in KINDS}
