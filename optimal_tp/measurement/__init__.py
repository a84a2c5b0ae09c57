"""What was measured, as data: requests, turns, runs, sweeps, receipts."""
