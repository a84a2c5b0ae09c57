"""Runs one case and returns the sentence that a user would read."""

import collections.abc
import pathlib
import re
import typing

Case = collections.abc.Callable[[pathlib.Path], object]
"""Takes a folder of its own; raises, or returns what was said."""

_CHANGING: typing.Final = (
    (re.compile(r"(127\.0\.0\.1:|port )\d{4,5}\b"), r"\1PORT"),
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-z]{4}"), "RUN"),
    (re.compile(r"ready \d+\.\d s after"), "ready 60.0 s after"),
)
"""What is another word on every machine or in every run."""


def told(case: Case, folder: pathlib.Path) -> str:
    """Return what ``case`` is refused with; fails where nothing is."""
    try:
        found = case(folder)
    except SystemExit as stop:
        found = stop.code
    except KeyError as error:
        found = error.args[0]
    except Exception as error:  # noqa: BLE001 - whatever it is, its words are what is asked for
        found = str(error)
    assert isinstance(found, str), f"nothing was said, but {found!r} returned"
    text = found.replace(str(folder), "/here")
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text
