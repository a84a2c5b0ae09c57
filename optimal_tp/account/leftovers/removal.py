"""Remove leftovers kind by kind, in an order that AWS accepts, asking before each kind."""

import collections.abc
import dataclasses

from optimal_tp.account.changes import ChangingCall
from optimal_tp.account.leftovers.kinds import Kind, Leftover
from optimal_tp.account.leftovers.scope import Scope
from optimal_tp.account.leftovers.search import KINDS, look_for
from optimal_tp.account.questions import Ask

_PAUSE_SECONDS = 10.0

Change = collections.abc.Callable[[ChangingCall], str | None]
"""Makes one call; returns why AWS refused it, or None."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hands:
    """The side effects of a removal; seams for tests."""

    ask: Ask
    change: Change
    agree: collections.abc.Callable[[str], bool]
    """Asks a person; any answer but yes counts as no."""
    say: collections.abc.Callable[[str], object]
    pause: collections.abc.Callable[[float], object]
    """Waits for a number of seconds."""


def remove(scope: Scope, hands: Hands) -> None:
    """Remove kind by kind. A resource that AWS or the person refuses to remove is found again at the next search."""
    for kind in KINDS:
        found, unknown = look_for(kind, scope, hands.ask)
        for sentence in unknown:
            hands.say(f"unknown: {sentence}")
        ours = [each for each in found if each.spared is None and not each.is_going]
        if not ours:
            continue
        for each in ours:
            hands.say(f"  {each.kind} {each.name}: {each.cost()}")
        if hands.agree(f"Remove {_count(kind, len(ours))}? [y/N] "):
            _remove(kind, ours, scope, hands)


def _remove(kind: Kind, ours: collections.abc.Sequence[Leftover], scope: Scope, hands: Hands) -> None:
    refused: set[str] = set()
    for each in ours:
        for step in each.steps:
            reason = hands.change(step)
            if reason is not None:
                hands.say(f"  not removed: {each.kind} {each.name}: {reason}")
                refused.add(each.name)
                break
    _wait(kind, {each.name for each in ours} - refused, scope, hands)


def _wait(kind: Kind, names: set[str], scope: Scope, hands: Hands) -> None:
    """Wait until AWS has deleted ``names``, or the kind's patience ends."""
    left = names
    for _ in range(int(kind.patience_seconds / _PAUSE_SECONDS)):
        found, _unknown = look_for(kind, scope, hands.ask)
        left = names & {each.name for each in found}
        if not left:
            return
        hands.say(f"  waiting for {_count(kind, len(left))} to go")
        hands.pause(_PAUSE_SECONDS)
    if kind.patience_seconds and left:
        hands.say(f"  not gone after {kind.patience_seconds} s: {', '.join(sorted(left))}")


def _count(kind: Kind, number: int) -> str:
    return f"1 {kind.name}" if number == 1 else f"{number} {kind.plural}"
