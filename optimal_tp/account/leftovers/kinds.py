"""A leftover, its cost, and the calls that remove it. Pure: answers in, findings out."""

import collections.abc
import dataclasses
import typing

from optimal_tp.account.changes import ChangingCall
from optimal_tp.account.leftovers.monthly_prices import MonthlyPrice
from optimal_tp.account.questions import Question
from optimal_tp.errors import Exit

if typing.TYPE_CHECKING:
    from optimal_tp.account.leftovers.scope import Scope
from optimal_tp.account.leftovers.scope import KindSearch

_CENT_USD = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leftover:
    """One resource that is left."""

    kind: str
    name: str
    steps: tuple[ChangingCall, ...] = ()
    """The calls that remove it, in order; empty if it cannot be removed."""
    bills: bool | None = False
    """None if that is not known."""
    price: MonthlyPrice | None = None
    """None if no price is known here, or if it costs nothing."""
    is_at_most: bool = False
    """True if the price is the most that it can cost."""
    spared: str | None = None
    """Why ``--remove`` leaves it alone."""
    is_kept: bool = False
    """True if a setting keeps it on purpose: it is shown, but does not count as left behind."""
    is_going: bool = False
    """True while AWS deletes it."""

    @property
    def usd_per_month(self) -> float | None:
        """Its cost; 0 only if it is free, None if the cost is not known."""
        if self.bills is False:
            return 0.0
        return None if self.price is None else self.price.usd_per_month

    def cost(self) -> str:
        """Return its cost in words."""
        if self.bills is False:
            return "costs nothing"
        if self.price is None:
            return "bills, price not known here" if self.bills else "may bill, price not known here"
        if self.price.usd_per_month < _CENT_USD:
            return "less than 0.01 USD a month"
        sum_ = f"{self.price.usd_per_month:.2f}"
        return f"at most {sum_} USD a month" if self.is_at_most or not self.bills else f"{sum_} USD a month"

    def commands(self, region: str) -> str:
        """Return the commands that remove it, in one line."""
        return " && ".join(step.command(region) for step in self.steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of resource that may be left."""

    name: str
    look: collections.abc.Callable[["Scope", KindSearch], list[Leftover]]
    asks: tuple[Question, ...]
    rights: tuple[str, ...]
    """IAM actions that its removal needs."""
    patience_seconds: int = 0
    """How long AWS may take to delete it; until then AWS refuses to delete the kinds that follow. 0: no wait."""

    @property
    def plural(self) -> str:
        """Return the name of several."""
        return f"{self.name[:-1]}ies" if self.name.endswith("cy") else f"{self.name}s"


def state_of(entry: collections.abc.Mapping[str, typing.Any], key: str = "State") -> str:
    """Return the state, which AWS gives as a word or as ``{"Name": word}``; empty if there is none."""
    state = entry.get(key, "")
    if isinstance(state, collections.abc.Mapping):
        return str(state.get("Name", state.get("Code", "")))
    return str(state)


def exit_status(found: collections.abc.Iterable[Leftover], unknown: collections.abc.Sequence[str]) -> Exit:
    """Return WRONG if something that bills is left by mistake, else OPEN if something is not known."""
    unwanted = [each.bills for each in found if not each.is_kept]
    if any(unwanted):
        return Exit.WRONG
    return Exit.OPEN if unknown or None in unwanted else Exit.GOOD
