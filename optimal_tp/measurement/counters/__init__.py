"""The servers' own counters, from their /metrics, and whether they agree with the requests that were sent."""
