"""Several models in one settings file: what each inherits, and every way to write it wrong, in whole sentences."""

import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.settings.models import parse_models
from optimal_tp.settings.workload import Model, WorkloadSettings

SMALL = {"model": {"name": "Qwen/Qwen3-0.6B"}}
LARGE = {"model": {"name": "Qwen/Qwen3-4B", "revision": "abc"}}


def refused(data: object) -> list[str]:
    """Return the sentences with which ``data`` is refused."""
    with pytest.raises(SettingsError) as caught:
        parse_models(data, file="x.yaml")
    return str(caught.value).splitlines()


def test_without_models_there_is_one() -> None:
    """The section as it always was gives the very settings that it always gave."""
    assert parse_models({"degrees": [1, 2]}, file="x.yaml") == (WorkloadSettings(degrees=(1, 2)),)


def test_a_list_of_one_is_one_model_alone() -> None:
    """An entry without anything of its own is the section."""
    assert parse_models({"degrees": [2], "models": [SMALL]}, file="x.yaml") == (WorkloadSettings(degrees=(2,)),)


def test_an_entry_overrides_and_inherits() -> None:
    """Keys of model, load and decision one by one; degrees and limits as a whole."""
    shared: dict[str, typing.Any] = {
        "model": {"max_num_seqs": 4},
        "load": {"output_tokens": 20, "prompt_tokens": 10},
        "decision": {"budget_seconds": 60},
        "limits": {"total_latency_ms": {"at_most_ms": 400}},
    }
    own = {
        **LARGE,
        "degrees": [4, 8],
        "limits": {"ttft_ms": {"at_most_ms": 90}},
        "load": {"output_tokens": 30},
        "decision": {"minimum_blocks": 6},
    }
    small, large = parse_models({**shared, "models": [SMALL, own]}, file="x.yaml")

    assert (small.model.max_num_seqs, large.model.max_num_seqs) == (4, 4)
    assert (small.degrees, large.degrees) == ((1, 2, 4), (4, 8))
    assert (small.load.output_tokens, large.load.output_tokens) == (20, 30)
    assert (large.load.prompt_tokens, large.decision.budget_seconds, large.decision.minimum_blocks) == (10, 60, 6)
    assert (list(small.limits.asked()), list(large.limits.asked())) == (["total_latency_ms"], ["ttft_ms"])


def test_the_order_is_the_files() -> None:
    """Whoever wants the small one first writes it first."""
    names = [each.model.name for each in parse_models({"models": [LARGE, SMALL]}, file="x.yaml")]

    assert names == ["Qwen/Qwen3-4B", "Qwen/Qwen3-0.6B"]


def test_an_empty_list_is_refused() -> None:
    """A sweep over nothing is a mistake."""
    assert refused({"models": []}) == [
        "x.yaml workloads.models: must be a list of at least one model (got [])",
    ]


def test_the_same_model_twice_is_refused() -> None:
    """Also under another owner: servers and folders are called by the last part of the name."""
    twin = {"model": {"name": "other/qwen3-0.6b", "revision": "abc"}}

    assert refused({"models": [SMALL, LARGE, SMALL, twin]}) == [
        f"x.yaml workloads.models[{index}].model.name: must be another name: the servers of models[0] are already "
        f"called qwen3-0-6b (got {name!r})"
        for index, name in ((2, "Qwen/Qwen3-0.6B"), (3, "other/qwen3-0.6b"))
    ]


def test_a_name_that_no_server_can_have_is_refused() -> None:
    """Kubernetes' names end at 63 characters."""
    long = {"model": {"name": "me/" + "a" * 31, "revision": "abc"}}

    assert refused({"models": [SMALL, long]}) == [
        (
            "x.yaml workloads.models[1].model.name: must end in 1 to 30 letters, digits and hyphens, which name its "
            f"servers; it ends in '{'a' * 31}' (got 'me/{'a' * 31}')"
        ),
    ]


def test_another_model_has_its_own_revision() -> None:
    """The default is a commit of Qwen3-0.6B's repository: no other model has it."""
    nameless = {"model": {"name": "Qwen/Qwen3-4B"}}

    assert refused({"models": [SMALL, nameless]}) == [
        (
            "x.yaml workloads.models[1].model.revision: must be set to a commit of the model's repository, because "
            "workloads.model.name differs from the default (not set)"
        ),
    ]
    assert len(parse_models({"model": {"revision": "random-weights"}, "models": [SMALL, nameless]}, file="x.yaml")) == 2


def test_every_mistake_is_told_once_where_it_stands() -> None:
    """A key of the section is told once, one of an entry at the entry, all together."""
    first = {**SMALL, "degrees": [3]}
    second = {**LARGE, "load": {"colour": "red"}}

    assert refused({"decision": {"confidence": 2}, "models": [first, second]}) == [
        ("x.yaml workloads.models[0].degrees[0]: must be a power of two from 1 to 64, for example 4 (got 3)"),
        "x.yaml workloads.decision.confidence: must be below 1 (got 2)",
        (
            "x.yaml workloads.models[1].load.colour: must be one of api, block_seconds, bracket_turns, "
            "concurrency, idle_requests, output_spread, output_tokens, pause_seconds, prompt, prompt_file, "
            "prompt_tokens, rates_per_second_per_core, request_timeout_seconds, routing, seed, trace, "
            "trace_requests, trace_use, turn_length, turn_requests, warm_in, warm_up_requests (got 'colour')"
        ),
    ]


def test_an_entry_has_no_other_keys() -> None:
    """A price is the node's, not the model's; a misspelt key has the known ones beside it."""
    assert refused({"models": [{**SMALL, "price": 3}]}) == [
        ("x.yaml workloads.models[0].price: must be one of decision, degrees, limits, load, model (got 'price')"),
    ]
    assert refused({"model_s": []})[0].startswith(
        "x.yaml workloads.model_s: must be one of decision, degrees, limits, load, model, models, preset, price (got "
        "'model_s'); did you mean models?"
    )


def test_what_the_section_lacks_an_entry_may_bring() -> None:
    """The section alone would be refused: its load is longer than its model."""
    shared = {"load": {"output_tokens": 200}}
    longer = {"model": {"max_model_len_tokens": 330}}

    assert parse_models({**shared, "models": [longer]}, file="x.yaml")[0].load.output_tokens == 200
    assert refused({**shared, "models": [SMALL]}) == [
        (
            "x.yaml workloads.load.prompt_tokens: must fit into model.max_model_len_tokens (128) together with "
            "the longest output (300 tokens; output_spread is 0.5) (got 30)"
        )
    ]


@pytest.mark.parametrize(
    ("name", "slug"), [("Qwen/Qwen3-0.6B", "qwen3-0-6b"), ("mine", "mine"), ("a/b/C_d..E-", "c-d-e")]
)
def test_a_model_has_a_slug(name: str, slug: str) -> None:
    """Lower-case letters, digits and single hyphens."""
    assert Model(name=name).slug == slug
