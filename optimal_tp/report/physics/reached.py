"""How far each candidate of a run came of its roof: what its turns read and computed, over what its cores can."""

import collections.abc
import dataclasses
import math
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.physics import Physics
from optimal_tp.measurement.run import DegreeRecord, RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted, of
from optimal_tp.plan.lengths import Shape
from optimal_tp.plan.roofline.bounds import Bound, Lengths, bound, lengths_of
from optimal_tp.plan.roofline.floors import ModelledServer, Resource
from optimal_tp.plan.roofline.work import decode_flop, mean_seen_context, prefill_flop
from optimal_tp.report.physics.decoding import Decoding, decoding
from optimal_tp.results.retrial import Retrial
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.analysis import Analysis, analyse
from optimal_tp.verdict.beside.reach import Reach
from optimal_tp.verdict.evidence import examine, tokens_per_second
from optimal_tp.verdict.findings import DegreeVerdict, Verdict
from optimal_tp.verdict.predictors.stated import Stated

Measured = tuple[Turn, tuple[Sample, ...]]


def analysed(again: Retrial, stated: Stated | None = None) -> Analysis:
    """Return the analysis of a run that was judged again, with its reach, and with what others ``stated`` judged."""
    found = analyse(again.record, again.samples, again.verdict, again.prediction, again.left_out, stated)
    return dataclasses.replace(found, reached=reached(again.record, again.samples, again.verdict))


def reached(record: RunRecord, samples: collections.abc.Sequence[Sample], verdict: Verdict) -> tuple[Reach, ...]:
    """Return the reach of each measured candidate; none where nobody knows what the cores can, or the run is void."""
    physics = record.physics
    if physics is None or verdict.outcome == "void":
        return ()
    sound = examine(record, samples).turns
    words = {each.candidate: each for each in verdict.degrees}
    found = []
    for degree in sorted(record.degrees, key=lambda each: each.candidate):
        own = [pair for pair in sound if of(pair[0]) == degree.candidate]
        for stage in typing.get_args(typing.Literal["block", "idle"]):
            turns = [pair for pair in own if pair[0].stage == stage]
            if turns and degree.candidate in words and words[degree.candidate].word != "invalid":
                found += _reach(physics, record.settings, degree, words[degree.candidate], turns)
                break
    return tuple(found)


def _reach(
    physics: Physics,
    settings: WorkloadSettings,
    degree: DegreeRecord,
    said: DegreeVerdict,
    turns: collections.abc.Sequence[Measured],
) -> list[Reach]:
    """Return the reach in ``turns``; nothing where the server never said how many tokens there were."""
    shapes = [
        Shape(one.prompt_tokens, one.output_tokens)
        for turn, samples in turns
        for one in counted(turn, samples)
        if one.status == "ok" and one.prompt_tokens and one.output_tokens
    ]
    if not shapes:
        return []
    server = _server(physics, settings, degree.candidate)
    lengths = lengths_of(settings.load, shapes)
    steps = sum((_steps(server, turn, samples) for turn, samples in turns), Decoding())
    roof, is_timed = physics.roof, steps.seconds > 0
    # An attained roof is that of cores which are all busy, and a single request keeps one server's busy.
    is_comparable = roof.kind == "published" or turns[0][0].stage == "block"
    read = steps.core_bytes / steps.seconds / roof.bytes_per_second if is_timed else None
    shares = _shares(roof, read, _compute_share(physics, degree, lengths, turns)) if is_comparable else _Shares()
    ms_per_byte = 1000 / roof.bytes_per_second
    room = physics.room(degree.degree)
    following = _next(settings, degree.candidate)
    most, next_most = (_most(each, lengths, settings) for each in (server, _server(physics, settings, following)))
    return [
        Reach(
            degree=degree.degree,
            max_num_seqs=degree.max_num_seqs,
            stage="block" if turns[0][0].stage == "block" else "idle",
            bandwidth_share=shares.bandwidth,
            compute_share=shares.compute,
            beyond_roof=shares.beyond,
            sequences=steps.sequence_steps / steps.steps if is_timed else None,
            step_ms=1000 * steps.seconds / steps.steps if is_timed else None,
            floor_ms=1000 * max(steps.core_bytes / roof.bytes_per_second, steps.compute_seconds) / steps.steps
            if is_timed
            else None,
            weights_floor_ms=ms_per_byte * server.weight_bytes if is_timed else None,
            kv_floor_ms=ms_per_byte * (steps.core_bytes / steps.steps - server.weight_bytes) if is_timed else None,
            prefill_floor_ms=1000
            * math.fsum(share * server.prefill(shape.prompt_tokens).seconds for shape, share in lengths.items()),
            binds=most.binds,
            measured_per_core=_measured(said, settings),
            bound_per_core=_per_core(most, settings),
            next_degree=following.degree,
            next_bound_per_core=_per_core(next_most, settings),
            kv_tokens=None if room is None else room.kv_tokens,
            kv_sequences=None if room is None else room.kv_sequences,
        )
    ]


@dataclasses.dataclass(frozen=True)
class _Shares:
    bandwidth: float | None = None
    compute: float | None = None
    beyond: tuple[Resource, ...] = ()


def _shares(roof: Roof, bandwidth: float | None, compute: float | None) -> _Shares:
    """Return both shares; None of a roof that was attained, and is too low where a server attains more."""
    if roof.kind == "published":
        return _Shares(bandwidth, compute)
    asked: dict[Resource, float | None] = {"memory bandwidth": bandwidth, "computing": compute}
    beyond = tuple(what for what, share in asked.items() if share is not None and share > 1)
    return _Shares(
        None if "memory bandwidth" in beyond else bandwidth, None if "computing" in beyond else compute, beyond
    )


def _steps(server: ModelledServer, turn: Turn, samples: collections.abc.Sequence[Sample]) -> Decoding:
    return decoding(server, samples, {one.request for one in counted(turn, samples)})


def _server(physics: Physics, settings: WorkloadSettings, candidate: Candidate) -> ModelledServer:
    batch = candidate.max_num_seqs
    if batch is None:
        asked = candidate if candidate.degree in settings.degrees else Candidate(max(settings.degrees))
        batch = settings.model.batch_of(asked)
    return ModelledServer(
        shape=physics.shape,
        degree=candidate.degree,
        batch=batch,
        dtype_bytes=physics.dtype_bytes,
        roof=physics.roof,
    )


def _next(settings: WorkloadSettings, candidate: Candidate) -> Candidate:
    larger = [degree for degree in settings.degrees if degree > candidate.degree]
    return dataclasses.replace(candidate, degree=min(larger, default=2 * candidate.degree))


def _most(server: ModelledServer, lengths: Lengths, settings: WorkloadSettings) -> Bound:
    return bound(server, lengths, settings.limits.asked())


def _per_core(most: Bound, settings: WorkloadSettings) -> float:
    return most.requests_per_second_per_core if settings.limits.asked() else most.output_tokens_per_second_per_core


def _measured(said: DegreeVerdict, settings: WorkloadSettings) -> float | None:
    if settings.limits.asked():
        return said.goodput_per_second_per_core
    tokens = said.tokens_per_second_per_core
    return None if tokens is None else tokens.value


def _compute_share(
    physics: Physics, degree: DegreeRecord, lengths: Lengths, turns: collections.abc.Sequence[Measured]
) -> float | None:
    """Return output tokens per second, times the operations that one takes with its part of the prompt, over the roof.

    PaLM (arXiv 2204.02311), section 4.1: what an engine computes twice does not count.
    """
    roof = physics.roof.flop_per_second
    rates = [tokens_per_second(turn, counted(turn, samples)) for turn, samples in turns]
    known = [rate for rate in rates if rate is not None]
    if roof is None or not known:
        return None
    shape = physics.shape
    flop = math.fsum(
        share
        * (
            prefill_flop(shape, prompt)
            + (output - 1) * decode_flop(shape, mean_seen_context(shape, prompt, max(prompt, prompt + output - 2)))
        )
        for (prompt, output), share in lengths.items()
    )
    mean_output = math.fsum(share * size.output_tokens for size, share in lengths.items())
    return math.fsum(known) / len(known) * flop / mean_output / (roof * degree.cores_used)
