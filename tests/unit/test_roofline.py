"""The roofline against numbers worked by hand: bytes, operations, floors, and what physics does not allow."""

import dataclasses

import pytest

from optimal_tp.facts.hardware import TRAINIUM2, TRAINIUM2_AT_MOST, Roof
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.shapes import Experts, ModelShape
from optimal_tp.plan.lengths import Shape
from optimal_tp.plan.roofline import work
from optimal_tp.plan.roofline.bounds import Limits, bound, lengths_of, requests
from optimal_tp.plan.roofline.floors import Floor, ModelledServer
from optimal_tp.plan.roofline.misses import miss
from optimal_tp.settings.workload import Limit, Load

QWEN3 = SHAPES["Qwen/Qwen3-0.6B"]
LLAMA = ModelShape(
    hidden=4096,
    layers=32,
    q_heads=32,
    kv_heads=8,
    head_dim=128,
    intermediate=14_336,
    vocab=128_256,
    tied=False,
)
"""Llama-3.1-8B, by its config.json."""
CHAT = {Shape(512, 128): 1.0}


def server(shape: ModelShape, degree: int, batch: int = 1, roof: Roof = TRAINIUM2) -> ModelledServer:
    """Return a BF16 server."""
    return ModelledServer(shape=shape, degree=degree, batch=batch, dtype_bytes=2, roof=roof)


def at_most(milliseconds: float, percentile: float = 99) -> Limit:
    """Return a limit."""
    return Limit(at_most_ms=milliseconds, percentile=percentile)


def test_the_roof_is_a_quarter_of_a_chip() -> None:
    """2.9 TB/s and 667 TFLOP/s a chip, four logical cores."""
    assert (TRAINIUM2.bytes_per_second, TRAINIUM2.flop_per_second) == (725e9, 166.75e12)
    assert TRAINIUM2_AT_MOST.bytes_per_second == 750e9


@pytest.mark.parametrize(
    ("shape", "weights"),
    [
        # 440,467,456 outside the embedding and 155,582,464 in the head that is the embedding too.
        pytest.param(QWEN3, 596_049_920, id="tied"),
        # 8,030,261,248 parameters (Meta's model card: 8.03 billion) less an embedding of 128,256 x 4,096.
        pytest.param(LLAMA, 7_504_924_672, id="own head"),
    ],
)
def test_a_step_reads_all_weights_but_the_embedding(shape: ModelShape, weights: int) -> None:
    """An embedding is one row a token; a tied one is the head."""
    assert work.step_weights(shape) == weights


def test_a_profile_on_silicon_read_what_the_formula_says() -> None:
    """Qwen3-0.6B TP2 on trn1, bucket 512: a profiler read 629.3 MB a core (NxDI contrib README, 2026-03-20)."""
    two = server(QWEN3, 2)

    assert two.weight_bytes + two.kv_bytes(512) == pytest.approx(625.4e6, rel=1e-3)
    assert two.weight_bytes + two.kv_bytes(512) == pytest.approx(629.3e6, rel=0.01)


@pytest.mark.parametrize(
    ("shape", "context", "degree", "gigabytes", "milliseconds"),
    [
        pytest.param(QWEN3, 128, 1, 1.207, 1.665, id="0.6B TP1"),
        pytest.param(QWEN3, 128, 2, 0.603, 0.832, id="0.6B TP2"),
        pytest.param(QWEN3, 128, 4, 0.302, 0.416, id="0.6B TP4"),
        pytest.param(LLAMA, 1024, 1, 15.14, 20.9, id="8B TP1"),
        pytest.param(LLAMA, 1024, 2, 7.57, 10.44, id="8B TP2"),
        pytest.param(LLAMA, 1024, 4, 3.79, 5.22, id="8B TP4"),
    ],
)
def test_the_floor_of_a_token(
    shape: ModelShape, context: int, degree: int, gigabytes: float, milliseconds: float
) -> None:
    """(596,049,920 x 2 B + 128 x 114,688 B) / 725 GB/s, and (7,504,924,672 x 2 B + 1,024 x 131,072 B) / 725 GB/s."""
    one = server(shape, degree)
    floor = one.decode_step(1, context)

    assert (one.weight_bytes + one.kv_bytes(context)) / 1e9 == pytest.approx(gigabytes, rel=2e-3)
    assert 1000 * floor.seconds == pytest.approx(milliseconds, rel=2e-3)
    assert floor.binds == "memory bandwidth"


def test_the_operations_of_a_token() -> None:
    """Qwen3-0.6B at 128 tokens: 2 x 595,984,384 in matrices, 4 x 28 x 16 x 128 x 128 in attention; no norms."""
    assert work.decode_flop(QWEN3, 128) == 2 * 595_984_384 + 29_360_128
    assert server(QWEN3, 1).decode_step(1, 128).compute_seconds == pytest.approx(7.32e-6, rel=1e-3)


@pytest.mark.parametrize(("degree", "milliseconds"), [(1, 43.3), (2, 21.6), (4, 10.8)])
def test_the_floor_of_a_prompt(degree: int, milliseconds: float) -> None:
    """Llama-3.1-8B, 512 tokens: 2 x 6.98 billion x 512 (42.9 ms at TP1), causal attention 0.4 ms, one token's head."""
    floor = server(LLAMA, degree).prefill(512)

    assert 1000 * floor.seconds == pytest.approx(milliseconds, rel=2e-3)
    assert floor.binds == "computing"


def test_a_short_prompt_waits_for_the_weights() -> None:
    """Below 230 tokens, the ridge of 166.75 TFLOP/s and 725 GB/s, a prompt takes as long as reading the weights."""
    assert server(LLAMA, 1).prefill(100).binds == "memory bandwidth"
    assert server(LLAMA, 1).prefill(300).binds == "computing"


@pytest.mark.parametrize(
    ("degree", "slots", "rate"),
    [
        pytest.param(1, 85, 11.44, id="TP1"),
        pytest.param(2, 361, 15.68, id="TP2"),
        pytest.param(4, 914, 16.85, id="TP4"),
    ],
)
def test_the_rate_that_orders_candidates(degree: int, slots: int, rate: float) -> None:
    """1 / (prefill + 127 x step(B) / B) a core: Llama-3.1-8B, 512 in, 128 out, 30 ms a token, slots by memory."""
    found = bound(server(LLAMA, degree, slots), CHAT, {"tpot_ms": at_most(30)})

    assert found.separate_requests_per_second_per_core == pytest.approx(rate, rel=2e-3)
    assert found.sequences == slots


def test_nobody_computes_faster_than_the_roof() -> None:
    """The bound lets reading overlap computing, so at this load every degree ends at the same operations a second."""
    rates = [bound(server(LLAMA, degree, 900), CHAT, {}).requests_per_second_per_core for degree in (1, 2, 4)]

    flop = work.prefill_flop(LLAMA, 512) + 127 * work.decode_flop(LLAMA, 575)
    assert rates == pytest.approx([166.75e12 / flop] * 3)


def test_a_limit_on_tokens_limits_the_step() -> None:
    """At 12 ms TP2 of Llama-3.1-8B has room for (12 ms x 725 GB/s - 7.505 GB) / 37.7 MB = 31.7 sequences in a step."""
    found = bound(server(LLAMA, 2, 361), CHAT, {"tpot_ms": at_most(12)})

    assert found.sequences == pytest.approx((0.012 * 725e9 - 7_504_924_672) / (65_536 * 575), rel=1e-6)


def test_a_stricter_limit_never_allows_more() -> None:
    """Bounds fall with the limit until nothing can hold it."""
    rates = [
        bound(server(LLAMA, 2, 361), CHAT, {"total_latency_ms": at_most(limit)}).requests_per_second_per_core
        for limit in (5000, 2500, 1500, 1000)
    ]

    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0


def test_who_need_not_hold_a_limit_may_wait_for_the_fullest_step() -> None:
    """Where half of the requests must hold it, the bound is higher than where nearly all must."""
    half, all_ = (
        bound(server(LLAMA, 1, 80), CHAT, {"tpot_ms": at_most(22, percentile)}).separate_requests_per_second_per_core
        for percentile in (50, 99)
    )

    assert half > all_


ALLOWS = "physics allows TP1 at least"
EVEN = "even with one request at a time"
ROOF = "the most generous of AWS's figures for Trainium2: 750 GB/s and 167 BF16 TFLOP/s a logical core"
LIMITS: dict[str, tuple[Limits, str | None]] = {
    "tokens too fast": (
        {"tpot_ms": at_most(19)},
        (
            f"p99 of time per output token must be at most 19.0 ms, but {ALLOWS} 20.0 ms, {EVEN}: a step reads 15.0 GB "
            "of weights (less 58.7 MB that could stay on the chip) and 75.4 MB of keys and values on each core, which "
            f"takes 20.0 ms ({ROOF})"
        ),
    ),
    "tokens just possible": ({"tpot_ms": at_most(20.1)}, None),
    "first token too fast": (
        {"ttft_ms": at_most(43)},
        (
            f"p99 of time to first token must be at most 43.0 ms, but {ALLOWS} 43.3 ms, {EVEN}: the prompt takes 43.3 "
            f"ms of computing ({ROOF})"
        ),
    ),
    "first token just possible": ({"ttft_ms": at_most(43.5)}, None),
    "whole request just possible": ({"total_latency_ms": at_most(2600)}, None),
}


@pytest.mark.parametrize(("limits", "sentence"), LIMITS.values(), ids=LIMITS)
def test_what_physics_does_not_allow(limits: Limits, sentence: str | None) -> None:
    """The arithmetic names the limit, the least, and what it is made of."""
    assert miss(server(LLAMA, 1, roof=TRAINIUM2_AT_MOST), CHAT, limits) == sentence


def test_a_limit_falls_only_with_too_many_requests() -> None:
    """Outputs of 25 to 75 tokens: p90 is decided by those of 70, p50 by those of 50."""
    lengths = lengths_of(Load(prompt_tokens=30, output_tokens=50), None)
    tight = server(LLAMA, 1, roof=TRAINIUM2_AT_MOST)

    assert miss(tight, lengths, {"total_latency_ms": at_most(1100, 50)}) is None
    found = miss(tight, lengths, {"total_latency_ms": at_most(1100, 90)})
    assert found is not None
    assert "69 such steps follow" in found
    own = next(one for one in requests(tight, lengths) if one.steps == 69)
    assert own.least_seconds("total_latency_ms") == pytest.approx(tight.prefill(30).seconds + 69 * 0.019946, rel=1e-3)


def test_on_chip_memory_may_keep_weights() -> None:
    """A refusal leaves out what 56 MiB of SBUF a logical core could keep from step to step."""
    kept = server(QWEN3, 4, roof=TRAINIUM2_AT_MOST).decode_step(1, 1).weights_seconds

    assert kept == (596_049_920 * 2 / 4 - 56 * 2**20) / 750e9


def test_lengths_of_a_load() -> None:
    """Outputs are equally likely within their spread; a trace's are as recorded; a file's prompts are one token."""
    assert lengths_of(Load(prompt_tokens=30, output_tokens=4, output_spread=0.25)) == {
        Shape(30, 3): 1 / 3,
        Shape(30, 4): 1 / 3,
        Shape(30, 5): 1 / 3,
    }
    assert lengths_of(Load(), [Shape(3, 4), Shape(3, 4), Shape(1, 2), Shape(5, 6)]) == {
        Shape(1, 2): 0.25,
        Shape(3, 4): 0.5,
        Shape(5, 6): 0.25,
    }
    assert lengths_of(Load(prompt="seed", output_tokens=2, output_spread=0)) == {Shape(1, 2): 1.0}


def test_windows_limit_what_a_token_sees() -> None:
    """Half of the layers look back 100 tokens; the mean over contexts is that of each."""
    shape = dataclasses.replace(QWEN3, window=100, windowed_layers=14)

    assert work.seen(shape, 300) == 14 * 300 + 14 * 100
    context = work.mean_seen_context(shape, 50, 249)
    assert work.seen(shape, context) == pytest.approx(sum(work.seen(shape, each) for each in range(50, 250)) / 200)


def test_of_experts_a_step_need_read_only_those_of_one_token() -> None:
    """Qwen3-30B-A3B: 3.3 billion active parameters (model card) less an embedding of 151,936 x 2,048."""
    experts = Experts(count=128, intermediate=768, layers=48, per_token=8)
    shape = dataclasses.replace(
        QWEN3, hidden=2048, layers=48, q_heads=32, kv_heads=4, tied=False, intermediate=6144, experts=experts
    )

    assert work.step_weights(shape) / 1e9 == pytest.approx(3.35 - 0.31, abs=0.01)
    assert work.decode_flop(shape, 0) == pytest.approx(2 * work.step_weights(shape), rel=1e-3)


def test_an_unknown_speed_binds_nothing() -> None:
    """Where nobody measured operations, only reading counts."""
    floor = Floor(weights_seconds=1.0, kv_seconds=0.5, compute_seconds=None)

    assert (floor.seconds, floor.binds) == (1.5, "memory bandwidth")
    blind = dataclasses.replace(TRAINIUM2, flop_per_second=None)
    assert bound(server(LLAMA, 1, 4, blind), CHAT, {}).binds == "memory bandwidth"
