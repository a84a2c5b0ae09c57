"""What the experiment may cost, and what its parts are expected to take: the ``spend`` section of the stack file."""

import pydantic

from optimal_tp.settings.parser import Section, broken, parse


class ExpectedMinutes(Section):
    """How long the parts take that no other setting bounds. Estimates, not measurements: put in what you saw."""

    cluster: float = pydantic.Field(default=25, ge=0)
    """From the first AWS call until Neuron nodes can be launched; none of them is paid for yet."""
    compile: float = pydantic.Field(default=30, ge=0)
    """One turn's compile Jobs, with the launch of their nodes and the pull of the image."""
    start: float = pydantic.Field(default=10, ge=0)
    """One turn's servers, until they answer."""
    leave: float = pydantic.Field(default=10, ge=0)
    """From an empty node's removal by Karpenter until EC2 bills it no longer."""


class Spend(Section):
    """The money, and when the servers are stopped."""

    budget_usd: float
    """The most that the experiment may cost. It is refused where more is expected, and stopped before it is spent."""
    keep_running: bool = False
    """True goes on probing after the verdict, as the seed does: nobody stops the servers, and no budget ends them."""
    expected_minutes: ExpectedMinutes = ExpectedMinutes()

    @pydantic.field_validator("budget_usd")
    @classmethod
    def _pays_for_something(cls, budget_usd: float) -> float:
        if budget_usd <= 0:
            raise broken("it is the most, in USD, that the experiment may cost, and nothing runs for nothing")
        return budget_usd

    def annotations(self) -> dict[str, str]:
        """Return what the experiment's namespace says of it, so that a policy pack can ask for it."""
        endless = {"optimal-tp/keep-running": "true"} if self.keep_running else {}
        return {"optimal-tp/budget-usd": f"{self.budget_usd:g}", **endless}


def parse_spend(data: object, *, file: str) -> Spend:
    """Return the ``spend`` section of ``file``; its budget must be there. Raises SettingsError with every bad key."""
    return parse(Spend, {} if data is None else data, where="spend", file=file)
