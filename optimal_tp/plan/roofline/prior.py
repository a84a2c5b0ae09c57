"""A stack's candidates held against physics before anything is spent: what cannot hold a limit, what promises most."""

import collections.abc

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import TRAINIUM2, TRAINIUM2_AT_MOST, Roof
from optimal_tp.plan.roofline.bounds import Lengths, bound, lengths_of
from optimal_tp.plan.roofline.floors import ModelledServer
from optimal_tp.plan.roofline.misses import miss
from optimal_tp.plan.traces import trace_of
from optimal_tp.settings.stack_file import ClusterSettings
from optimal_tp.settings.workload import WorkloadSettings


def impossible(
    settings: ClusterSettings,
    of: WorkloadSettings,
    candidates: collections.abc.Sequence[Candidate],
    dtype_bytes: int,
) -> dict[Candidate, str]:
    """Return those of ``candidates`` that no server could ever let hold a limit, each with the arithmetic."""
    limits = of.limits.asked()
    if not limits:
        return {}
    lengths = asked_lengths(of)
    found = {
        candidate: miss(server_of(settings, of, candidate, dtype_bytes, TRAINIUM2_AT_MOST), lengths, limits)
        for candidate in candidates
    }
    return {candidate: arithmetic for candidate, arithmetic in found.items() if arithmetic is not None}


def promises(
    settings: ClusterSettings,
    of: WorkloadSettings,
    candidates: collections.abc.Sequence[Candidate],
    dtype_bytes: int,
) -> dict[Candidate, float]:
    """Return what each of ``candidates`` may carry per core at most, requests per second: it orders, never decides."""
    lengths, limits = asked_lengths(of), of.limits.asked()
    return {
        candidate: bound(
            server_of(settings, of, candidate, dtype_bytes, TRAINIUM2), lengths, limits
        ).separate_requests_per_second_per_core
        for candidate in candidates
    }


def server_of(
    settings: ClusterSettings, of: WorkloadSettings, candidate: Candidate, dtype_bytes: int, roof: Roof
) -> ModelledServer:
    """Return one server of ``candidate`` of the model ``of``."""
    return ModelledServer(
        shape=settings.sizes_of(of).shape,
        degree=candidate.degree,
        batch=of.model.batch_of(candidate),
        dtype_bytes=dtype_bytes,
        roof=roof,
    )


def asked_lengths(of: WorkloadSettings) -> Lengths:
    """Return how long the requests of ``of`` are. Raises SettingsError for a trace that cannot be read."""
    trace = trace_of(of)
    return lengths_of(of.load, None if trace is None else trace.shapes)
