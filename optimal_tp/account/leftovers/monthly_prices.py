"""Monthly prices of leftovers, each with its source and date; a price that is absent is not known here."""

import dataclasses

from optimal_tp.settings.prices import HourPrice

HOURS_PER_MONTH = 730
GB = 1_000_000_000
"""Bytes of a GB of billed storage. AWS's guides do not say whether GB or GiB; with GiB costs would be 7 % less."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MonthlyPrice:
    """A monthly price. ``date`` (YYYY-MM-DD) is when the source was written, or read if it has no date."""

    usd_per_month: float
    source: str
    date: str

    def times(self, amount: float) -> "MonthlyPrice":
        """Return ``amount`` times this price."""
        return dataclasses.replace(self, usd_per_month=self.usd_per_month * amount)


def monthly(price: HourPrice) -> MonthlyPrice:
    """Return the monthly price of what costs ``price`` by the hour."""
    return MonthlyPrice(usd_per_month=price.usd_per_hour * HOURS_PER_MONTH, source=price.source, date=price.date)


_QUOTED = "AWS's price list for us-east-1 as public repositories quote it"

# Read 2026-11-24, all for us-east-1; other regions cost up to about half more.
ADDRESS = MonthlyPrice(
    usd_per_month=0.005 * HOURS_PER_MONTH, source="factualminds.com, amazon-vpc-pricing-endpoints", date="2026-06-13"
)
"""One public IPv4 address, in use or not."""
INTERFACE_ENDPOINT = MonthlyPrice(
    usd_per_month=0.01 * HOURS_PER_MONTH, source="factualminds.com, amazon-vpc-pricing-endpoints", date="2026-06-13"
)
"""One interface endpoint in one zone; gateway endpoints are free."""
FILE_GB = MonthlyPrice(usd_per_month=0.30, source="cloudburn.io, amazon-efs-pricing", date="2026-03-03")
"""One GB of EFS Standard."""
OBJECT_GB = MonthlyPrice(usd_per_month=0.023, source="zeonedge.com, cloud-storage-cost-guide", date="2026-04-09")
"""One GB of S3 Standard."""
KEY = MonthlyPrice(usd_per_month=1.0, source="cloudburn.io, aws-kms-pricing", date="2026-03-14")
"""One customer-managed key before its first rotation; one that waits for its deletion is free."""
DASHBOARD = MonthlyPrice(
    usd_per_month=3.0, source="factualminds.com, amazon-cloudwatch-pricing-metrics-logs-alarms", date="2026-06-13"
)
VOLUME_GB = MonthlyPrice(usd_per_month=0.08, source=_QUOTED, date="2026-11-24")
"""One GB of a gp3 volume, used or not, without charges for more than its base speed."""
SNAPSHOT_GB = MonthlyPrice(usd_per_month=0.05, source=_QUOTED, date="2026-11-24")
"""One GB of a snapshot, counting only blocks that it does not share with an earlier one."""
LOG_GB = MonthlyPrice(usd_per_month=0.03, source=_QUOTED, date="2026-11-24")
"""One GB of stored logs."""
BALANCER = MonthlyPrice(usd_per_month=0.0225 * HOURS_PER_MONTH, source=_QUOTED, date="2026-11-24")
"""One application or network load balancer, without charges for traffic."""
CLASSIC_BALANCER = MonthlyPrice(usd_per_month=0.025 * HOURS_PER_MONTH, source=_QUOTED, date="2026-11-24")
"""One classic load balancer, likewise."""
ALARM_METRIC = MonthlyPrice(usd_per_month=0.10, source=_QUOTED, date="2026-11-24")
"""One metric that an alarm watches, at a resolution of a minute."""
FREE_DASHBOARDS, FREE_DASHBOARD_METRICS, FREE_ALARM_METRICS = 3, 50, 10
"""Free in each account and month: dashboards, metrics in each of them, and metrics of alarms
(aws.amazon.com/cloudwatch/pricing)."""
