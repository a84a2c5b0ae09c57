"""What one core can produce, what does not fit, and what cannot be shared: told before spending."""

import dataclasses
import pathlib
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import INSTANCE_TYPES
from optimal_tp.facts.versions import PAIRS
from optimal_tp.plan.feasibility import (
    cores_needed,
    feasible_plan,
    memory_lines,
    on_cores,
    reach_lines,
    seat_lines,
    unseated,
)
from optimal_tp.plan.lineup import Lineup, Refusal
from optimal_tp.settings.stack_file import ClusterSettings, parse_cluster
from tests.fakes_samples import whole


def settings(load: dict[str, typing.Any] | None = None, pods: int = 1, **workloads: typing.Any) -> ClusterSettings:
    """Return settings with short turns."""
    load = {"request_timeout_seconds": 1, **(load or {})}
    return parse_cluster({"workloads": {"load": load, **workloads}, "loadtest": {"pods": pods}}, file="test.yaml")


def test_a_load_above_one_core_is_told_with_the_figure() -> None:
    """250 requests/s for each of TP4's cores keep 0.85 cores busy, and one is late above a half: two are needed."""
    asked = {"rates_per_second_per_core": [100, 250]}
    (line,) = reach_lines(settings(asked))

    assert cores_needed(settings(asked).models[0]) == pytest.approx(0.85, abs=0.01)
    assert line == (
        "loadtest.pods: must be 2 for Qwen/Qwen3-0.6B, or turns will be void (got 1): the load keeps 0.9 cores busy, "
        "and a load generator is late above 0.5 of a core (at most 57,657 streamed chunks/s a core, bench/README.md, "
        "2026-11-24)"
    )
    assert reach_lines(settings(asked, pods=2)) == ()


def test_a_trace_says_how_many_tokens_are_streamed(tmp_path: pathlib.Path) -> None:
    """Its mean, of the requests that fit: what ``output_tokens`` says is not sent."""
    trace = tmp_path / "mine.csv"
    trace.write_text("prompt_tokens,output_tokens\n8,60\n8,100\n8,4000\n", encoding="utf-8")
    asked = {"rates_per_second_per_core": [100, 250]}
    recorded = settings({**asked, "trace": str(trace), "output_tokens": 5}).models[0]

    assert cores_needed(recorded) == cores_needed(
        settings({**asked, "output_tokens": 80, "output_spread": 0}).models[0]
    )


def test_a_closed_loop_turns_as_fast_as_its_limit() -> None:
    """4,000 in flight within 400 ms are 10,000 requests/s at least; without a limit nobody knows."""
    load = {"concurrency": [4000]}
    limited = settings(load, limits={"total_latency_ms": {"at_most_ms": 400}})
    rated = settings({"rates_per_second_per_core": [2500]})

    assert cores_needed(limited.models[0]) == cores_needed(rated.models[0])
    assert cores_needed(settings(load).models[0]) is None
    assert reach_lines(settings(load)) == ()
    assert reach_lines(settings(limits={"total_latency_ms": {"at_most_ms": 400}})) == ()


def test_more_pods_than_system_nodes_hold_are_a_problem() -> None:
    """Two of two vCPUs hold one of 1000 millicores each, for kubelet keeps 70; the sentence has the arithmetic."""
    (problem,) = unseated(settings(pods=3), (2, 2), file="test.yaml")

    assert str(problem) == (
        "test.yaml loadtest.pods: must be at most 2: 2 system nodes have 1930 millicores each for pods, and a load "
        "generator needs 1000 (got 3); choose a larger infra.system_nodes.instance_type or lower "
        "loadtest.cpu_millicores"
    )
    assert list(unseated(settings(pods=2), (2, 2), file="test.yaml")) == []
    assert list(unseated(settings(pods=64), None, file="test.yaml")) == []


def test_what_several_pods_want_of_nodes_is_told() -> None:
    """Who else is on the system nodes nobody knows at preview, so the want is said; one pod wants nothing new."""
    (line,) = seat_lines(settings(pods=2))

    assert line == (
        "2 load generators need 1000 millicores each, free on nodes without the Neuron taint. The run ends if one is "
        "not ready 300 s after the Job's start (loadtest.start_after_seconds)"
    )
    assert seat_lines(settings()) == ()


def planned(of: ClusterSettings) -> Lineup:
    """Return the plan on two small nodes."""
    return feasible_plan(of, INSTANCE_TYPES["trn2.3xlarge"], maximum_nodes=2, file="test.yaml")


MODELS = [{"model": {"name": name, "revision": "r"}} for name in ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B")]


def test_several_pods_of_several_models_are_refused() -> None:
    """The sentence names the key and the way out."""
    sentence = (
        "test.yaml loadtest.pods: must be 1 with several models: several load generators share one "
        "model's experiment (got 2)"
    )
    with pytest.raises(SettingsError, match=whole(sentence)):
        planned(settings(pods=2, models=MODELS))


def test_a_budget_that_holds_too_few_blocks_is_refused_at_preview() -> None:
    """With several pods the plan is made before the run, so its arithmetic is known before any spend."""
    with pytest.raises(SettingsError, match=r"^workloads\.decision\.budget_seconds: must hold the turns before"):
        planned(settings({"concurrency": [4, 8, 16]}, pods=2, decision={"budget_seconds": 100}))


@pytest.mark.parametrize(
    ("limits", "key"),
    [({}, "concurrency"), ({"total_latency_ms": {"at_most_ms": 400}}, "rates_per_second_per_core")],
    ids=["without limits", "with limits"],
)
def test_several_pods_need_stated_loads(limits: dict[str, typing.Any], key: str) -> None:
    """Nobody of them sees what all measured, so nobody can look for the loads."""
    sentence = (
        f"workloads.load.{key}: must be set: several load generators follow a plan made before the run (not set); "
        "state the loads, around where each candidate's capacity may lie, or use one load generator"
    )
    with pytest.raises(SettingsError, match=whole(sentence)):
        planned(settings(pods=2, limits=limits))


def test_what_cannot_be_shared_is_told_after_what_contradicts_itself() -> None:
    """It needs the plan of turns, which contradictions have none of: two steps, two errors."""
    with pytest.raises(SettingsError) as refused:
        settings(
            pods=2, models=MODELS, price={"usd_per_hour": 2.5, "billed_cores": 4, "source": "x", "date": "2026-11-01"}
        )

    assert "infra.neuron.price" in str(refused.value)
    assert "loadtest.pods" not in str(refused.value)


def test_the_preview_says_what_the_cache_holds() -> None:
    """Tokens and sequences beside the weights, and the batches that are asked for, a line per degree."""
    asked = settings(model={"max_num_seqs": {1: [4, 16], 2: 8}}, degrees=[1, 2])
    lines = memory_lines(asked, planned(asked))

    assert lines[0] == (
        "Qwen3-0.6B at TP1: 1.40 GiB of weights on each core; beside them the KV cache holds 1,532 sequences of 128 "
        "tokens (196,139 tokens); max_num_seqs 4, 16"
    )
    assert lines[1].endswith("max_num_seqs 8")


def large(*degrees: int) -> ClusterSettings:
    """Return settings of a model with 40 query heads, whose weights no single core holds."""
    return settings(model={"name": "Qwen/Qwen3-14B", "revision": "r"}, degrees=list(degrees))


def test_what_does_not_fit_leaves_the_others_their_plan() -> None:
    """TP1 is too small and TP8 larger than a node: TP2 and TP4 have servers, and say nothing of eight cores."""
    found = planned(large(1, 2, 4, 8))
    (model,) = found.models

    assert list(model.gates) == [Candidate(1), Candidate(8)]
    assert model.gates[Candidate(1)].reason.startswith("TP1 needs 27.53 GiB of the 22.35 GiB of each core")
    assert model.gates[Candidate(8)] == Refusal(
        "no-fit", "TP8 needs 8 logical cores on one node, but trn2.3xlarge has 4"
    )
    assert {each.candidate for each in found.servers} == set(model.plan.candidates) == {Candidate(2), Candidate(4)}
    assert found.lines() == [
        *model.plan.lines(),
        *(f"{each.name} is not measured (no-fit): {gate.reason}" for each, gate in model.gates.items()),
    ]
    # Two servers of TP2 fill what one of TP4 does, not what TP8 would.
    assert [server.candidate.degree for server in found.servers] == [2, 2, 4]
    assert [line[:21] for line in memory_lines(large(1, 2, 4, 8), found)] == [
        "Qwen3-14B at TP2: 13.",
        "Qwen3-14B at TP4: 6.8",
    ]


def eight_billion(at_most_ms: float, *degrees: int, metric: str = "tpot_ms") -> ClusterSettings:
    """Return settings of Qwen3-8B, of which TP1 reads 15 GB a token, with a limit."""
    return settings(
        model={"name": "Qwen/Qwen3-8B", "revision": "r"},
        degrees=list(degrees),
        limits={metric: {"at_most_ms": at_most_ms}},
    )


def test_a_limit_that_physics_forbids_ends_the_candidate_before_anything_is_spent() -> None:
    """At 15 ms a token TP1 would have to read 15.1 GB in 15 ms; TP2 and TP4 are measured."""
    found = planned(eight_billion(15, 1, 2, 4))
    (model,) = found.models

    assert list(model.gates) == [Candidate(1)]
    assert model.gates[Candidate(1)].gate == "misses-slo"
    assert model.gates[Candidate(1)].reason.startswith(
        "p99 of time per output token must be at most 15.0 ms, but physics allows TP1 at least 20.1 ms"
    )
    assert {each.candidate for each in found.servers} == {Candidate(2), Candidate(4)}
    assert found.lines()[-1] == f"TP1 is not measured (misses-slo): {model.gates[Candidate(1)].reason}"


def test_what_physics_allows_is_measured_however_unlikely() -> None:
    """20.2 ms leave TP1 half a percent above its floor: nothing but a measurement may say that it misses."""
    assert planned(eight_billion(20.2, 1, 2, 4)).models[0].gates == {}


def test_limits_that_physics_forbids_to_all_are_an_error() -> None:
    """No candidate is left to measure: the arithmetic of each, and what may be changed."""
    with pytest.raises(SettingsError, match="physics rules out all") as refused:
        planned(eight_billion(3, 1, 2))

    (problem,) = refused.value.problems
    assert (problem.path, problem.value) == ("workloads.limits", {"tpot_ms": 3.0})
    assert "physics allows TP2 at least 10.0 ms" in problem.rule


def test_the_most_promising_candidate_takes_its_turn_first() -> None:
    """With one node TP4 promises most at 512 sequences a server; without that TP1 would begin."""
    asked = eight_billion(30, 1, 2, 4)
    asked = dataclasses.replace(
        asked,
        models=tuple(
            each.model_copy(update={"model": each.model.model_copy(update={"max_num_seqs": {1: 8, 2: 8, 4: 512}})})
            for each in asked.models
        ),
    )
    (model,) = feasible_plan(asked, INSTANCE_TYPES["trn2.3xlarge"], maximum_nodes=1, file="test.yaml").models

    assert model.plan.rounds[0] == (Candidate(4),)
    assert {each for together in model.plan.rounds for each in together} == {Candidate(1), Candidate(2), Candidate(4)}


def test_a_degree_that_divides_no_heads_is_padded_or_refused() -> None:
    """40 heads at TP16: the plugin pads them to 48 and says so, AWS's fork refuses."""
    kind = INSTANCE_TYPES["trn2.48xlarge"]
    asked = large(8, 16)
    fork, plugin = (PAIRS[name].engine for name in ("neuronx-0.9.1", "neuronx-0.16.0"))
    refused, padded = (
        feasible_plan(asked, kind, maximum_nodes=1, file="test.yaml", engine=engine) for engine in (fork, plugin)
    )
    lines = memory_lines(asked, padded, engine=plugin)

    assert refused.models[0].gates[Candidate(16)].reason.startswith("40 query heads do not divide by 16; TP16 needs ")
    assert padded.models[0].gates == {}
    assert "(40 query heads are padded to 48)" in lines[1]
    assert "padded" not in lines[0]


def test_a_plan_says_what_the_kv_cache_holds_at_each_degree() -> None:
    """For the record of the run: more cores hold more beside a smaller part of the weights."""
    asked = settings({})
    kind = INSTANCE_TYPES["trn2.3xlarge"]
    (model,) = feasible_plan(asked, kind, maximum_nodes=3, file="x.yaml").models

    assert model.physics is not None
    for degree in asked.models[0].degrees:
        room, found = model.physics.room(degree), on_cores(asked, asked.models[0], kind, degree, 1)
        assert room is not None
        assert (room.kv_tokens, room.kv_sequences) == (found.kv_tokens, found.kv_sequences)
    tokens = [each.kv_tokens for each in model.physics.rooms]
    assert tokens == sorted(tokens)
