"""Bounds are bounds: a server that reaches its roof, whatever the load, model and degree, never beats them."""

import random

import hypothesis
import pytest
from hypothesis import strategies as st

from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.shapes import Experts, ModelShape
from optimal_tp.measurement.turns import is_within
from optimal_tp.plan.lengths import Shape
from optimal_tp.plan.roofline.bounds import bound, lengths_of
from optimal_tp.plan.roofline.floors import ModelledServer
from optimal_tp.plan.roofline.misses import miss
from optimal_tp.report.physics.decoding import decoding
from optimal_tp.settings.workload import Limit, LimitedMetric, Load
from tests.fakes_roofline import as_samples, perfect

pytestmark = pytest.mark.program

MODELS = st.builds(
    ModelShape,
    hidden=st.sampled_from([256, 1024]),
    layers=st.just(4),
    q_heads=st.just(8),
    kv_heads=st.sampled_from([2, 8]),
    head_dim=st.just(64),
    intermediate=st.sampled_from([512, 4096]),
    vocab=st.sampled_from([1000, 50_000]),
    tied=st.booleans(),
    experts=st.none() | st.just(Experts(count=8, intermediate=512, layers=4, per_token=2)),
    window=st.none() | st.just(40),
    windowed_layers=st.just(2),
)
SERVERS = st.builds(
    ModelledServer,
    shape=MODELS,
    degree=st.sampled_from([1, 2, 4]),
    batch=st.integers(1, 12),
    dtype_bytes=st.just(2),
    roof=st.builds(
        Roof,
        kind=st.just("attained"),
        bytes_per_second=st.floats(1e8, 1e12),
        flop_per_second=st.none() | st.floats(1e9, 1e14),
        source=st.just("a test"),
    ),
)
SHAPES = st.lists(st.builds(Shape, st.integers(1, 120), st.integers(1, 40)), min_size=3, max_size=25)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(SERVERS, SHAPES, st.sampled_from([0.0, 0.5, 2.0]), st.integers(1, 5), st.integers(0, 9))
def test_no_simulated_server_beats_its_roofline(
    server: ModelledServer, shapes: list[Shape], spread: float, least_sequences: int, seed: int
) -> None:
    """Requests per second, those within each limit, and the bytes of decode steps stay at or below the roof."""
    alone = server.prefill(60).seconds + 20 * server.decode_step(1, 80).seconds
    draw = random.Random(seed).uniform
    arrivals = sorted(draw(0, spread * alone * len(shapes)) for _ in shapes)
    end, times = perfect(server, shapes, arrivals, least_sequences=least_sequences, seed=seed)
    samples = as_samples(shapes, times, degree=server.degree)
    lengths = lengths_of(Load(), shapes)
    rate = len(shapes) / (end - arrivals[0]) / server.degree

    assert rate <= bound(server, lengths, {}).requests_per_second_per_core * (1 + 1e-9)
    metrics: tuple[LimitedMetric, ...] = ("total_latency_ms", "ttft_ms", "tpot_ms")
    for metric in metrics:
        known = sorted(value for one in samples if (value := getattr(one, metric)) is not None)
        for limit_ms in known[:: max(1, len(known) // 3)]:
            asked = Limit(at_most_ms=max(limit_ms, 1e-9), percentile=99)
            held = sum(is_within(one, {metric: asked}) or getattr(one, metric) is None for one in samples)
            if not 0 < held < len(samples):
                continue
            limits = {metric: Limit(at_most_ms=asked.at_most_ms * (1 + 1e-6), percentile=100 * held / len(samples))}
            assert miss(server, lengths, limits) is None
            assert rate <= bound(server, lengths, limits).requests_per_second_per_core * (1 + 1e-6)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(SERVERS, SHAPES, st.integers(1, 5), st.sampled_from([1.0, 1.5]))
def test_no_decode_step_reads_more_than_the_roof(
    server: ModelledServer, shapes: list[Shape], least_sequences: int, slack: float
) -> None:
    """What the times of tokens say of reading stays below the roof."""
    _, times = perfect(server, shapes, [0.0] * len(shapes), least_sequences=least_sequences, slack=slack)
    found = decoding(server, as_samples(shapes, times, degree=server.degree), range(len(shapes)))
    hypothesis.assume(found.seconds > 0)

    assert 0 < found.core_bytes / found.seconds / server.roof.bytes_per_second <= 1.005
