"""What engines that were fitted to a run say of other lengths and of a larger model, on planted engines."""

import dataclasses

import numpy as np
import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import TRAINIUM2
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.physics import Physics
from optimal_tp.facts.shapes import ModelShape
from optimal_tp.fleet.engine.model import EngineModel
from optimal_tp.fleet.engine.step_costs import Costs
from optimal_tp.fleet.what_if import next_of_family, what_if
from optimal_tp.measurement.run import RunRecord
from optimal_tp.verdict.predictions import WhatIf
from tests.fakes_roofline import played_run
from tests.fakes_run import parsed, settings

pytestmark = pytest.mark.measurement
TP1, TP2 = Candidate(1), Candidate(2)


def engine(candidate: Candidate, base_seconds: float, *, prompt_seconds: float = 0.0) -> EngineModel:
    """Return an engine of four slots, fitted to prompts of 100 and outputs of 20 tokens."""
    costs = Costs(
        base_seconds=base_seconds,
        batching_seconds=0.0,
        per_sequence_seconds=0.0,
        per_prompt_token_seconds=prompt_seconds,
        overhead_seconds=0.0,
        prefill_first=False,
    )
    return EngineModel(
        candidate=candidate,
        slots=4,
        costs=costs,
        resampled=(costs,) * 10,
        prompts=np.full(200, 100.0),
        outputs=np.full(200, 20),
        count=200,
        most_in_flight=4,
        checks=(),
    )


def record(shape: str | ModelShape | None = None) -> RunRecord:
    """Return a run without limits on Trainium2, of a model of that name or shape."""
    known = SHAPES[shape] if isinstance(shape, str) else shape
    model = {"name": shape if isinstance(shape, str) else "ours", "max_num_seqs": 4, "max_model_len_tokens": 256}
    physics = None if known is None else Physics(roof=TRAINIUM2, shape=known, dtype_bytes=2)
    run = played_run((1, 2), slots=4, physics=physics)
    return dataclasses.replace(run, settings=parsed(settings(degrees=[1, 2], model=model)))


def values(found: WhatIf) -> dict[str, float]:
    """Return output tokens per second per core by candidate."""
    return {one.candidate.name: one.per_core.value for one in found.capacities}


def test_twice_the_output_and_half_the_prompt() -> None:
    """TP1 pays 1 ms a prompt token: twice the output makes up for it, half the prompt turns the order."""
    models = {TP1: engine(TP1, 0.010, prompt_seconds=0.001), TP2: engine(TP2, 0.011)}

    longer, shorter = what_if(record(), models)

    # Four requests share each of 20 steps of 10 ms, and each has 100 ms of prompt: 4 x 20 / (0.2 + 4 x 0.1).
    assert longer.question == "twice the output tokens"
    assert values(longer)["TP1"] == pytest.approx(4 * 40 / (0.4 + 0.4), rel=0.1)
    assert values(shorter)["TP1"] == pytest.approx(4 * 20 / (0.2 + 0.2), rel=0.1)
    assert values(longer)["TP2"] == pytest.approx(4 / 0.011 / 2, rel=0.05)
    assert (longer.first, shorter.first) == ("TP1", "TP1")


def test_the_next_model_of_the_family() -> None:
    """Qwen3-1.7B reads 2.89 times what Qwen3-0.6B does: all of a step grows so, or by 3.1 ms that physics adds."""
    models = {TP1: engine(TP1, 0.010), TP2: engine(TP2, 0.008)}

    *_, grown, added = what_if(record("Qwen/Qwen3-0.6B"), models)

    before, after = 596_049_920, 1_720_574_976
    today = 20 * models[TP1].capacity_per_second
    assert grown.question == (
        "the next model of the family, Qwen/Qwen3-1.7B (if a step grows as what it reads and computes)"
    )
    assert values(grown)["TP1"] == pytest.approx(today * before / after, rel=1e-3)
    # Four prompts of 100 tokens in about 21 steps compute 0.97 billion weights more.
    seconds = 0.010 + (after - before) * 2 / 725e9 + 4 / 21 * 100 * 2 * 968_884_224 / 166.75e12
    assert values(added)["TP1"] == pytest.approx(today * 0.010 / seconds, rel=2e-3)


def test_a_model_that_does_not_fit_is_not_extrapolated() -> None:
    """Qwen3-32B after 14B: neither one nor two cores hold it, so nothing is said of it."""
    found = what_if(record("Qwen/Qwen3-14B"), {TP1: engine(TP1, 0.010), TP2: engine(TP2, 0.008)})

    assert [one.question for one in found] == ["twice the output tokens", "half the prompt tokens"]


def test_the_largest_known_model_has_no_next() -> None:
    """Nor has a family of which nothing is known."""
    assert next_of_family(SHAPES["Qwen/Qwen3-32B"], "Qwen/Qwen3-32B") is None
    assert next_of_family(dataclasses.replace(SHAPES["Qwen/Qwen3-32B"], family="llama"), "ours") is None


@pytest.mark.parametrize("name", ["Qwen/Qwen3-0.6B", "qwen3-shape-7-layers"])
def test_the_measured_model_is_never_the_next(name: str) -> None:
    """A practice run has fewer layers than the model has: the next one is still a larger model."""
    shallow = dataclasses.replace(SHAPES["Qwen/Qwen3-0.6B"], layers=7)
    found = next_of_family(shallow, name)

    assert found == ("Qwen/Qwen3-1.7B", SHAPES["Qwen/Qwen3-1.7B"])


def test_a_copy_of_a_model_is_that_model() -> None:
    """By its name in another folder, whatever its sizes were counted as; another edition is no larger model."""
    small = dataclasses.replace(SHAPES["Qwen/Qwen3-8B"], layers=4, vocab=1000)
    edition = dataclasses.replace(SHAPES["Qwen/Qwen3-8B"], vocab=150_000)

    assert next_of_family(small, "/models/qwen3-8b/") == ("Qwen/Qwen3-14B", SHAPES["Qwen/Qwen3-14B"])
    assert next_of_family(edition, "ours") == ("Qwen/Qwen3-14B", SHAPES["Qwen/Qwen3-14B"])


def test_one_engine_alone_has_nothing_to_say() -> None:
    """There is no choice to change."""
    assert what_if(record(), {TP1: engine(TP1, 0.010)}) == ()
