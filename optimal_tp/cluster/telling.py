"""Find the line of a log that tells a failure or the progress: one sentence, without secrets."""

import collections.abc
import re

LONGEST = 240
"""Most characters of a quoted line."""
LEFT_BEHIND = re.compile(r"nrt_allocate_neuron_cores|NRT_RESOURCE")
"""The Neuron runtime did not get its cores although no known process uses them (aws-neuron-sdk#1338)."""
_OWN_WORDS = re.compile(r"\bnot (?:compiled|fetched): ")
"""Failure messages of our own Jobs' programs."""
_PROGRESS = re.compile(r"^fetched (.+ of .+)$", re.MULTILINE)
"""Progress messages of the fetch Job's program."""
_POINTS_ABOVE = re.compile(r"\blines above say\b")
_ERROR = re.compile(
    r"error|exception|nrt_|RESOURCE_EXHAUSTED|out of memory|oom|killed|fatal|failed|no space left", re.IGNORECASE
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SECRETS = (
    (re.compile(r"(?i)\b(authorization|token|secret|password|passwd|api[-_]?key)(\W{1,3})(bearer\s+)?\S+"), r"\1\2…"),
    (re.compile(r"\bhf_[A-Za-z0-9]{8,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), "…"),
    (re.compile(r"(https?://)[^/\s@]+@"), r"\1…@"),
    (re.compile(r"(https?://[^\s?]+)\?\S+"), r"\1?…"),
)
"""Secrets that a log may show by mistake: keys by their name or form, accounts and signatures in addresses."""


def telling_line(log: str) -> str | None:
    """Return the line of ``log`` that tells the failure: our own program's message, else the last error or last line.

    If our own message points to the lines above it, return the last error among those. None for an empty log.
    """
    lines = [line for each in log.splitlines() if (line := _COLOUR.sub("", each).strip())]
    own = _last(lines, _OWN_WORDS)
    if own is not None and not _POINTS_ABOVE.search(own):
        return short(own)
    others = [line for line in lines if not _OWN_WORDS.search(line)]
    found = _last(others, _ERROR) or own or (lines[-1] if lines else None)
    return None if found is None else short(found)


def progress_line(log: str) -> str | None:
    """Return the fetch Job's progress in ``log``: "3.20 GB of 8.04 GB (40%), 120 MB/s"; None if there is none."""
    found = _PROGRESS.findall(log)
    return short(found[-1]) if found else None


def left_behind_line(log: str) -> str | None:
    """Return the last line that says that the cores were not free; None if there is none."""
    found = _last(log.splitlines(), LEFT_BEHIND)
    return None if found is None else short(_COLOUR.sub("", found))


def short(words: str) -> str:
    """Return ``words`` in one line, cut to a sentence's length, and without anything that looks secret."""
    line = " ".join(words.split())
    for secret, instead in _SECRETS:
        line = secret.sub(instead, line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _last(lines: collections.abc.Sequence[str], pattern: re.Pattern[str]) -> str | None:
    return next((line for line in reversed(lines) if pattern.search(line)), None)
