"""The stack file's sections about the experiment in a cluster."""

import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.facts.known import SHAPES
from optimal_tp.plan.lineup import wish
from optimal_tp.settings.stack_file import parse_cluster
from tests.fakes_candidates import TP1, TP2, TP4


def problems_of(sections: typing.Mapping[str, object]) -> list[str]:
    """Return the sentences of the error that ``sections`` end in."""
    with pytest.raises(SettingsError) as caught:
        parse_cluster(sections, file="Pulumi.dev.yaml")
    return str(caught.value).splitlines()


def test_an_empty_file_compares_the_seeds_degrees_on_whole_chips() -> None:
    """Without a word in the file: the AWS sample's degrees, equal cores, its claim and its patience of 85 minutes."""
    settings = parse_cluster({}, file="Pulumi.dev.yaml")

    assert wish(settings, settings.models[0], settings.models[0].candidates, {}).candidates == (TP1, TP2, TP4)
    assert (settings.serving.layout, settings.serving.placement) == ("equal-cores", "packed")
    assert settings.serving.volume_claim == "adhoc-python-packages-deb-pvc"
    assert settings.serving.start_patience_seconds == 85 * 60
    assert settings.loadtest.results.on_destroy == "keep"


def test_numbers_are_taken_where_text_is_meant() -> None:
    """`pulumi config set --path optimal-tp:loadtest.run 2` writes a number, and a revision may be of digits alone."""
    sections = {"loadtest": {"run": 2}, "workloads": {"model": {"revision": 1234567}}}
    settings = parse_cluster(sections, file="Pulumi.dev.yaml")

    assert (settings.loadtest.run, settings.models[0].model.revision) == ("2", "1234567")


@pytest.mark.parametrize(("degrees", "replicas"), [([1, 2, 4], [4, 2, 1]), ([1, 2], [4, 2]), ([1, 8], [8, 1])], ids=str)
def test_equal_cores_are_whole_chips_unless_said(degrees: list[int], replicas: list[int]) -> None:
    """Every degree fills the chips that the largest one needs, four logical cores each."""
    settings = parse_cluster({"workloads": {"degrees": degrees}}, file="Pulumi.dev.yaml")

    (of,) = settings.models

    assert [wish(settings, of, of.candidates, {}).replicas(degree) for degree in degrees] == replicas


def test_bad_keys_of_all_sections_come_in_one_error() -> None:
    """A reader mends the file once, not once a section."""
    sections = {
        "workloads": {"degrees": [1, 3]},
        "serving": {"replicas": 2, "shared_memory_gib": 0},
        "loadtest": {"results": {"bucket": "Not_a_bucket"}},
    }

    assert [sentence.split(": ")[0] for sentence in problems_of(sections)] == [
        "Pulumi.dev.yaml workloads.degrees[1]",
        "Pulumi.dev.yaml serving.shared_memory_gib",
        "Pulumi.dev.yaml serving.replicas",
        "Pulumi.dev.yaml loadtest.results.bucket",
    ]


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (
            {"serving": {"shape_as": "Qwen/Qwen3-8B", "config_file": "mine/config.json"}},
            (
                "Pulumi.dev.yaml serving.shape_as: must be absent beside serving.config_file (mine/config.json), "
                "which has the sizes (got 'Qwen/Qwen3-8B')"
            ),
        ),
        (
            {"serving": {"layout": "equal-cores", "equal_cores": 6}},
            (
                "Pulumi.dev.yaml workloads.degrees[2]: must divide serving.equal_cores (6) with layout "
                "equal-cores (got 4)"
            ),
        ),
        (
            {"serving": {"model_source": "s3://mine/models"}, "loadtest": {"results": {"bucket": "mine"}}},
            (
                "Pulumi.dev.yaml loadtest.results.bucket: must be another bucket than that of "
                "serving.model_source (s3://mine/models) (got 'mine')"
            ),
        ),
        (
            {"workloads": {"model": {"name": "mine"}}, "serving": {"shape_as": "Qwen/Qwen3-8B"}},
            (
                "Pulumi.dev.yaml workloads.model.name: must be owner/model for a model from a hub, for example "
                "Qwen/Qwen3-0.6B (got 'mine')"
            ),
        ),
        (
            {"workloads": {"price": {"usd_per_hour": 2.5, "billed_cores": 4, "source": "x", "date": "2026-11-01"}}},
            (
                "Pulumi.dev.yaml workloads.price.usd_per_hour: must be absent in a stack file: "
                "the price is in infra.neuron.price (got 2.5)"
            ),
        ),
        (
            {"serving": {"layout": "one-each", "equal_cores": 4}},
            "Pulumi.dev.yaml serving.equal_cores: must be absent unless layout is equal-cores (got 4)",
        ),
        (
            {"serving": {"buckets": {"prompt_tokens": [256, 200]}}},
            (
                "Pulumi.dev.yaml serving.buckets.prompt_tokens: must be rising multiples of 128, each once, for "
                "example [256, 768] (got [256, 200])"
            ),
        ),
        (
            {"serving": {"buckets": {"context_tokens": [256, 256]}}},
            (
                "Pulumi.dev.yaml serving.buckets.context_tokens: must be rising multiples of 128, each once, for "
                "example [256, 768] (got [256, 256])"
            ),
        ),
        (
            {
                "workloads": {"model": {"max_model_len_tokens": 512}},
                "serving": {"buckets": {"prompt_tokens": [256], "context_tokens": [256, 512]}},
            },
            (
                "Pulumi.dev.yaml serving.buckets.context_tokens[1]: must be below workloads.model.max_model_len_tokens "
                "(512), which always has graphs of its own (got 512); remove it"
            ),
        ),
        (
            {"serving": {"namespace": "kube-system"}},
            (
                "Pulumi.dev.yaml serving.namespace: must be a new namespace: it is created and deleted with "
                "the experiment (got 'kube-system')"
            ),
        ),
        (
            {"serving": {"shape_as": "gpt"}},
            (
                "Pulumi.dev.yaml serving.shape_as: must be a model whose sizes are known: Qwen/Qwen3-0.6B, "
                "Qwen/Qwen3-1.7B, Qwen/Qwen3-4B, Qwen/Qwen3-8B, Qwen/Qwen3-14B, Qwen/Qwen3-32B (got 'gpt')"
            ),
        ),
    ],
    ids=[
        "sizes said twice",
        "degree does not divide",
        "bucket taken",
        "no owner",
        "a second price",
        "no layout",
        "a bucket that is no multiple",
        "a bucket twice",
        "a bucket as long as the model",
        "not its own",
        "shape",
    ],
)
def test_contradictions_are_refused(sections: typing.Mapping[str, object], sentence: str) -> None:
    """Each contradiction is one sentence: what, value, rule, remedy."""
    assert problems_of(sections) == [sentence]


def test_a_fine_tuned_model_says_whose_sizes_it_has() -> None:
    """A model from a bucket needs no hub's name when the file says whose shape it is."""
    settings = parse_cluster(
        {
            "workloads": {"model": {"name": "mine", "revision": "v3"}},
            "serving": {"model_source": "s3://models/mine", "shape_as": "Qwen/Qwen3-8B"},
        },
        file="Pulumi.dev.yaml",
    )

    assert settings.sizes_of(settings.models[0]).shape == SHAPES["Qwen/Qwen3-8B"]
