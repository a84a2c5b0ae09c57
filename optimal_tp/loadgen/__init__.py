"""The load generator: schedule, client, audit, samples on disk, publication."""
