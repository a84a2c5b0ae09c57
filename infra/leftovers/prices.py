"""What a month of each leftover costs, with where the figure comes from and of which day; absent: not known here."""

import dataclasses

HOURS_PER_MONTH = 730
GB = 1_000_000_000
"""Of storage that is billed by the byte; AWS's guides do not say which, and GiB would be 7 % less."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Price:
    """What a month costs. ``date`` is when the source was written, YYYY-MM-DD."""

    usd_per_month: float
    source: str
    date: str

    def times(self, amount: float) -> "Price":
        """Return the price of ``amount`` of it."""
        return dataclasses.replace(self, usd_per_month=self.usd_per_month * amount)


# Read 2026-11-24, all for us-east-1; other regions ask up to about half more.
ADDRESS = Price(
    usd_per_month=0.005 * HOURS_PER_MONTH, source="factualminds.com, amazon-vpc-pricing-endpoints", date="2026-06-13"
)
"""One public IPv4 address, in use or not."""
INTERFACE_ENDPOINT = Price(
    usd_per_month=0.01 * HOURS_PER_MONTH, source="factualminds.com, amazon-vpc-pricing-endpoints", date="2026-06-13"
)
"""One interface endpoint in one zone; gateway endpoints are free."""
FILE_GB = Price(usd_per_month=0.30, source="cloudburn.io, amazon-efs-pricing", date="2026-03-03")
"""One GB of EFS Standard."""
OBJECT_GB = Price(usd_per_month=0.023, source="zeonedge.com, cloud-storage-cost-guide", date="2026-04-09")
"""One GB of S3 Standard."""
KEY = Price(usd_per_month=1.0, source="cloudburn.io, aws-kms-pricing", date="2026-03-14")
"""One customer-managed key before its first rotation; one that waits for its deletion is free."""
DASHBOARD = Price(
    usd_per_month=3.0, source="factualminds.com, amazon-cloudwatch-pricing-metrics-logs-alarms", date="2026-06-13"
)
FREE_DASHBOARDS, FREE_DASHBOARD_METRICS, FREE_ALARM_METRICS = 3, 50, 10
"""Of an account each month: dashboards of so many metrics, metrics of alarms (aws.amazon.com/cloudwatch/pricing)."""
