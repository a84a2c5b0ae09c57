"""Hourly prices, each with its source and its date."""

import pydantic

from optimal_tp.settings.parser import Section, shape

_GUIDE = "public guides that cite AWS's price pages, for us-east-1"


class HourPrice(Section):
    """An hourly price with its source and its date."""

    usd_per_hour: float = pydantic.Field(gt=0)
    """USD per hour, without tax."""
    source: str = pydantic.Field(min_length=1)
    """Where the price was read; printed beside it."""
    date: str = pydantic.Field(
        pattern=shape(r"^\d{4}-\d{2}-\d{2}$", "must be a day as YYYY-MM-DD, for example 2026-10-03")
    )
    """When it was read, YYYY-MM-DD."""

    @pydantic.field_validator("date", mode="before")
    @classmethod
    def _as_written(cls, date: object) -> object:
        """Take a day that was written without quotes, which Pulumi hands on as midnight of that day."""
        return date.removesuffix("T00:00:00Z") if isinstance(date, str) else date

    def sentence(self, what: str) -> str:
        """Return the price of ``what`` for people."""
        return f"{what}: {self.usd_per_hour:g} USD an hour ({self.source}, {self.date})"


class Prices(Section):
    """Prices around the Neuron nodes. The defaults are estimates: other regions cost up to about half more."""

    # cloudburn.io/blog/amazon-eks-pricing and backendstack.dev, read in 2026-03 and 2026-04; the price of m7i.large
    # was not confirmed.
    control_plane: HourPrice = HourPrice(usd_per_hour=0.10, source=_GUIDE, date="2026-04-01")
    """The EKS control plane, in standard support."""
    nat_gateway: HourPrice = HourPrice(usd_per_hour=0.045, source=_GUIDE, date="2026-04-01")
    """One NAT gateway, without charges for data."""
    system_node: HourPrice = HourPrice(usd_per_hour=0.1008, source=f"{_GUIDE}, m7i.large", date="2026-04-01")
    """One node of ``system_nodes.instance_type``."""
