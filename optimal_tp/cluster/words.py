"""What the commands' words mean: targets, pins and the place of results. Mistakes are added to ``problems``."""

import collections.abc
import re
import urllib.parse

from optimal_tp.errors import Problem
from optimal_tp.settings.workload import WorkloadSettings

_TARGET = re.compile(r"(\d+)=(\S+)")


def targets_of(
    words: collections.abc.Sequence[str], settings: WorkloadSettings | None, problems: list[Problem]
) -> dict[int, tuple[str, ...]]:
    """Return URLs by degree, ascending; several of a degree are replicas."""
    found: dict[int, tuple[str, ...]] = {}
    for index, word in enumerate(words):
        path = f"--target[{index}]"
        match = _TARGET.fullmatch(word)
        url = urllib.parse.urlsplit(match[2]) if match else None
        if match is None or url is None or url.scheme not in ("http", "https") or not url.hostname:
            rule = "a target is DEGREE=URL with a URL of http or https"
            problems.append(Problem(path=path, value=word, rule=rule, remedy="write it as 1=http://127.0.0.1:8001"))
        elif settings is not None and int(match[1]) not in settings.degrees:
            rule = f"its degree is one of workloads.degrees ({', '.join(map(str, settings.degrees))})"
            problems.append(Problem(path=path, value=word, rule=rule, remedy="correct the degree or the settings"))
        else:
            found[int(match[1])] = (*found.get(int(match[1]), ()), match[2].rstrip("/"))
    if not words:
        rule = "the experiment has at least one server"
        problems.append(Problem(path="--target", value=None, rule=rule, remedy="add --target 1=http://127.0.0.1:8001"))
    return dict(sorted(found.items()))


def pairs_of(
    words: collections.abc.Sequence[str], problems: list[Problem]
) -> collections.abc.Iterator[tuple[str, str]]:
    """Yield key and value of each pin."""
    for index, word in enumerate(words):
        key, equals, value = word.partition("=")
        if not equals or not key:
            remedy = "write it as image=NAME"
            problems.append(Problem(path=f"--pin[{index}]", value=word, rule="a pin is KEY=VALUE", remedy=remedy))
        yield key, value


def place_of(results: str | None, problems: list[Problem]) -> tuple[str, str] | None:
    """Return bucket and prefix of ``s3://bucket/prefix``; None for a folder."""
    if results is None:
        rule = "what is measured must be kept somewhere"
        problems.append(Problem(path="--results", value=None, rule=rule, remedy="add --results out"))
        return None
    if not results.startswith("s3://"):
        return None
    name, _, prefix = results.removeprefix("s3://").partition("/")
    if not name:
        rule = "an S3 address names a bucket"
        problems.append(Problem(path="--results", value=results, rule=rule, remedy="write it as s3://bucket/prefix"))
    return name, prefix.strip("/")
