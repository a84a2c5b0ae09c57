"""The ``leftovers`` command: what is left, what it costs, what removes it; and, asked for, its removal."""

import collections.abc
import dataclasses
import json
import sys
import time

from optimal_tp.account.leftovers.kinds import Leftover, exit_status
from optimal_tp.account.leftovers.removal import Change, Hands, remove
from optimal_tp.account.leftovers.scope import Scope
from optimal_tp.account.leftovers.search import search
from optimal_tp.account.questions import Ask


def report(scope: Scope, ask: Ask, change: Change | None, account: str, *, as_json: bool) -> int:
    """Print what is left and return the status; with ``change``, first remove what the person agrees to."""
    if change is not None:
        remove(scope, Hands(ask=ask, change=change, agree=_agree, say=print, pause=time.sleep))
    found, unknown = search(scope, ask)
    lines = _json(found, unknown, scope) if as_json else _lines(found, unknown, scope, account)
    sys.stdout.write("\n".join(lines) + "\n")
    return exit_status(found, unknown)


def _agree(question: str) -> bool:
    """Ask at the terminal; without somebody there the answer is no."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        sys.stdout.write("\n")
        return False


def _lines(
    found: collections.abc.Sequence[Leftover],
    unknown: collections.abc.Sequence[str],
    scope: Scope,
    account: str,
) -> list[str]:
    lines = [f"account {account}, region {scope.region}"]
    lines += [_line(each, scope.region) for each in found]
    lines += [f"unknown: {sentence}" for sentence in unknown]
    if not found and not unknown:
        lines.append("nothing is left of what this command looks for (docs/leftovers.md)")
    return lines + _sum(found)


def _line(each: Leftover, region: str) -> str:
    word = "kept" if each.is_kept else "left"
    why = f" ({each.spared})" if each.spared else ""
    how = f"remove it with: {each.commands(region)}" if each.steps else "nothing removes it; it ends by itself"
    return f"{word}: {each.kind} {each.name}{why}: {each.cost()}; {how}"


def _sum(found: collections.abc.Sequence[Leftover]) -> list[str]:
    """Return what all of it costs, and where the prices come from."""
    billing = [each for each in found if each.bills is not False]
    known = [each.price for each in billing if each.price is not None]
    if not billing:
        return []
    total = sum(price.usd_per_month for price in known)
    unpriced = len(billing) - len(known)
    more = f", and what {unpriced} of {len(billing)} cost, whose price is not known here" if unpriced else ""
    sources = dict.fromkeys(f"prices from {price.source}, {price.date}" for price in known)
    return [f"together {total:.2f} USD a month{more}", *sources]


def _json(found: collections.abc.Sequence[Leftover], unknown: collections.abc.Sequence[str], scope: Scope) -> list[str]:
    rows = [
        {
            "kind": each.kind,
            "name": each.name,
            "bills": each.bills,
            "usd_per_month": each.usd_per_month,
            "price": None if each.price is None else dataclasses.asdict(each.price),
            "is_kept": each.is_kept,
            "spared": each.spared,
            "remove": [step.command(scope.region) for step in each.steps],
        }
        for each in found
    ]
    return [json.dumps({"left": rows, "unknown": list(unknown)}, indent=1)]
