"""The load generator: plans arrivals, sends them on time, keeps one sample per request."""
