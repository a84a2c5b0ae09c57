"""Tags as AWS answers them: a list of keys and values."""

import collections.abc
import typing


def tags_of(entry: collections.abc.Mapping[str, typing.Any]) -> dict[str, str]:
    """Return the tags of ``entry``, which has them under ``Tags`` where it has any."""
    return pairs(entry.get("Tags") or ())


def pairs(listed: collections.abc.Iterable[collections.abc.Mapping[str, str]]) -> dict[str, str]:
    """Return a list of ``{"Key": …, "Value": …}`` as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in listed}
