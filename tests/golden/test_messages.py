"""Every message with which the program refuses, fails or warns: provoked, listed as a whole, and none left out."""

import collections.abc
import functools
import re
import typing

import pytest

from tests.fakes_goldens import hold_to
from tests.fakes_messages import account, commands, pack, running, stack_files, stored
from tests.fakes_messages.sites import Site, sites, watched
from tests.fakes_messages.told import Case, told

CHAPTERS: typing.Final[dict[str, collections.abc.Sequence[Case]]] = {
    "The stack file, at the preview": stack_files.CASES,
    "Command lines and the files that they name": commands.CASES,
    "Servers, Jobs, disks and runs": running.CASES,
    "Stored runs, buckets, and values that other messages hand on": stored.CASES,
    "The account": account.CASES,
    "The policy pack": pack.CASES,
}

_BY_PULUMI: typing.Final = "Pulumi runs it with an SDK of its own; the pack's cases join sentence and remedy as it does"
UNSEEN: typing.Final[dict[str, str]] = {
    "policy/__main__.py _of_resource.validate": _BY_PULUMI,
    "policy/__main__.py _of_stack.validate": _BY_PULUMI,
}
"""Places that no case reaches, by file and function, and why."""
REWORDED: typing.Final[dict[str, str]] = {
    "optimal_tp/loadgen/wire.py address": "an option's message has the value already, and takes the rule alone",
}
"""Places whose words nobody reads as they stand in the source, and why."""


class Told(typing.NamedTuple):
    """One message."""

    chapter: str
    text: str
    reached: frozenset[Site]


@functools.cache
def messages() -> tuple[Told, ...]:
    """Return every message, provoked once, in a folder of its own."""
    import pathlib  # noqa: PLC0415
    import tempfile  # noqa: PLC0415

    found = []
    for chapter, cases in CHAPTERS.items():
        for case in cases:
            with tempfile.TemporaryDirectory() as folder, watched() as reached:
                text = told(case, pathlib.Path(folder))
            found.append(Told(chapter, text, frozenset(reached)))
    return tuple(found)


def test_every_message_is_as_agreed() -> None:
    """The whole sentences, as somebody reads them at two in the morning."""
    lines = []
    for chapter in CHAPTERS:
        lines += [f"# {chapter}", "", *(f"{each.text}\n" for each in messages() if each.chapter == chapter)]

    hold_to("messages.txt", "\n".join(lines))


def test_no_message_is_left_out() -> None:
    """Every place of the source that makes an error, a refusal or a warning is reached by a case, or says why not."""
    reached = {site for each in messages() for site in each.reached}
    missing = [site for site in sites() if site not in reached]

    assert [str(site) for site in missing if f"{site.path} {site.within}" not in UNSEEN] == []
    assert {f"{site.path} {site.within}" for site in missing} == UNSEEN.keys()


def test_every_message_is_read_as_it_is_written() -> None:
    """The words that a place has in the source stand in a message of a case that reached it: it was not swallowed."""
    texts: dict[Site, str] = {}
    for each in messages():
        for site in each.reached:
            texts[site] = texts.get(site, "") + each.text
    swallowed = {
        f"{site.path} {site.within}": words for site, text in texts.items() for words in site.words if words not in text
    }

    assert {place: words for place, words in swallowed.items() if place not in REWORDED} == {}
    assert REWORDED.keys() <= swallowed.keys()


@pytest.mark.parametrize("foreign", [r"\bNone\b", "PosixPath", "Traceback", "object at 0x", ";;", "; $"])
def test_messages_are_for_people(foreign: str) -> None:
    """No Python shows through, no part of a sentence is empty."""
    assert [each.text for each in messages() if re.search(foreign, each.text, flags=re.MULTILINE)] == []


def test_there_is_something_to_hold() -> None:
    """The walk over the source finds its places."""
    assert len(sites()) > 250
