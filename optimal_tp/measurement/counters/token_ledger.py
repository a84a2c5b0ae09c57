"""Compare the servers' counters with the requests sent to them: other clients and lost tokens show."""

import collections.abc
import dataclasses
import math
import typing

from optimal_tp.measurement.counters.reading import ServerCounts


class CountedRequest(typing.Protocol):
    """The fields of a request that the comparison needs."""

    @property
    def replica(self) -> int:
        """Number of the server that it was sent to, from 0."""

    @property
    def sent_seconds(self) -> float | None:
        """When it was sent; None if it never was."""

    @property
    def prompt_tokens(self) -> int | None:
        """As its answer states."""

    @property
    def output_tokens(self) -> int | None:
        """As its answer states."""

    @property
    def status(self) -> str:
        """``ok`` for an answered request."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Most:
    """Most tokens that one request of the turn may have cost a server; None means not known."""

    prompt_tokens: int | None
    output_tokens: int | None


ANYTHING: typing.Final = Most(prompt_tokens=None, output_tokens=None)


def counter_reasons(
    servers: collections.abc.Sequence[ServerCounts | None], asked: collections.abc.Iterable[CountedRequest], most: Most
) -> collections.abc.Iterator[str]:
    """Yield the reasons why a turn cannot be trusted, from the counts of its ``servers``, one per replica.

    Answered requests must be counted exactly. A request that failed or was given up may count for anything from
    nothing to ``most``. No other difference is allowed. A server without counts is not checked.
    """
    if not any(servers):
        return
    own: dict[int, list[CountedRequest]] = {}
    for one in asked:
        if one.sent_seconds is not None:
            own.setdefault(one.replica, []).append(one)
    for replica, counts in enumerate(servers):
        if counts is None:
            continue
        name = "the server" if len(servers) == 1 else f"server {replica + 1} of {len(servers)}"
        if counts.began_anew:
            yield (
                f"{name} reset its counters during the turn: it restarted or several servers share its address; "
                "read its log and give the address of each server"
            )
        else:
            yield from _differences(name, counts, own.get(replica, ()), most)


def _differences(
    name: str, counts: ServerCounts, own: collections.abc.Sequence[CountedRequest], most: Most
) -> collections.abc.Iterator[str]:
    counted = counts.counted
    again = bool(counted.preemptions)  # older engines count a prompt again when they compute it again
    answered = [one for one in own if one.status == "ok"]
    rows = (
        ("prompt tokens", counted.prompt_tokens, [one.prompt_tokens for one in answered], most.prompt_tokens, again),
        (
            "output tokens",
            counted.generation_tokens,
            [one.output_tokens for one in answered],
            most.output_tokens,
            False,
        ),
        ("requests", counted.requests, [1] * len(answered), 1, False),
    )
    for what, found, told, bound, is_open in rows:
        if found is None:
            continue
        unknown = len(own) - len(told) + sum(count is None for count in told)
        least = sum(count for count in told if count is not None)
        highest = math.inf if is_open or (bound is None and unknown) else least + unknown * (bound or 0)
        if found < least:
            yield (
                f"{name} counted {found:,} {what}, but its answers name {least:,}; the two must be equal: "
                "give the address of each server if several share one"
            )
        elif found > highest:
            span = f"{least:,}" if highest == least else f"{least:,} to {highest:,}"
            yield (
                f"{name} counted {found:,} {what}, but the requests of this turn account for {span}; "
                "another client uses it or it still works on cancelled requests: let only this measurement use it"
            )
