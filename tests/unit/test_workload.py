"""The workloads section: what it refuses, each with its whole sentence."""

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.settings.workload import WorkloadSettings, parse_workloads


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(
            {"degrees": [1, 3]},
            "x.yaml workloads.degrees[1]: must be a power of two from 1 to 64, for example 4 (got 3)",
            id="degree of 3",
        ),
        pytest.param(
            {"degrees": [2, 1]},
            (
                "x.yaml workloads.degrees: must be a list of rising degrees, each once, for example [1, 2, 4] (got "
                "[2, 1])"
            ),
            id="degrees out of order",
        ),
        pytest.param(
            {"model": {"max_model_len_tokens": 64}, "load": {"prompt_tokens": 30, "output_tokens": 50}},
            (
                "x.yaml workloads.load.prompt_tokens: must fit into model.max_model_len_tokens (64) together with "
                "the longest output (75 tokens; output_spread is 0.5) (got 30)"
            ),
            id="prompt longer than the model's length",
        ),
        pytest.param(
            {"model": {"max_model_len_tokens": 100}, "load": {"prompt_tokens": 50, "output_spread": 0.02}},
            (
                "x.yaml workloads.load.prompt_tokens: must fit into model.max_model_len_tokens (100) together with "
                "the longest output (51 tokens; output_spread is 0.02) (got 50)"
            ),
            id="only the longest output too long for the model",
        ),
        pytest.param(
            {"limits": {"ttft_ms": {"at_most_ms": 0}}},
            "x.yaml workloads.limits.ttft_ms.at_most_ms: must be above 0 (got 0)",
            id="limit of 0",
        ),
        pytest.param(
            {"load": {"concurrency": [4, 2]}},
            (
                "x.yaml workloads.load.concurrency: must be rising numbers above 0, at least one, for example [1, 2, "
                "4] (got [4, 2])"
            ),
            id="falling steps",
        ),
        pytest.param(
            {"load": {"prompt": "file"}},
            ("x.yaml workloads.load.prompt_file: must be set if load.prompt is file, and absent otherwise (not set)"),
            id="file without a name",
        ),
        pytest.param(
            {"decision": {"minimum_blocks": 9, "maximum_blocks": 8}},
            "x.yaml workloads.decision.maximum_blocks: must be at least minimum_blocks (9) (got 8)",
            id="no room for the minimum",
        ),
    ],
)
def test_refuses(data: object, sentence: str) -> None:
    """One mistake is one whole sentence: path, value, rule, remedy."""
    with pytest.raises(SettingsError) as caught:
        parse_workloads(data, file="x.yaml")

    assert str(caught.value) == sentence


def test_mistakes_in_different_sections_are_told_together() -> None:
    """A bad degree does not hide a bad limit or an unknown key."""
    data = {"degrees": [3], "limits": {"tpot_ms": {"at_most_ms": -1}}, "colour": "red"}

    with pytest.raises(SettingsError) as caught:
        parse_workloads(data, file="x.yaml")

    assert [problem.path for problem in caught.value.problems] == [
        "workloads.degrees[0]",
        "workloads.limits.tpot_ms.at_most_ms",
        "workloads.colour",
    ]


def test_every_bad_degree_is_told() -> None:
    """Two bad degrees are two sentences."""
    with pytest.raises(SettingsError) as caught:
        parse_workloads({"degrees": [3, 5]}, file="x.yaml")

    assert [problem.path for problem in caught.value.problems] == ["workloads.degrees[0]", "workloads.degrees[1]"]


def test_defaults_are_the_seeds_experiment() -> None:
    """Without a word, degrees, lengths and batch are the AWS sample's."""
    settings = parse_workloads({}, file="x.yaml")

    assert settings == WorkloadSettings()
    assert (settings.degrees, settings.model.max_num_seqs, settings.model.max_model_len_tokens) == ((1, 2, 4), 1, 128)


@pytest.mark.parametrize(
    ("tokens", "spread", "expected"),
    [(16, 0.5, (8, 24)), (50, 0, (50, 50)), (1, 0.9, (1, 2)), (5, 0.3, (4, 6))],
)
def test_outputs_have_a_range(tokens: int, spread: float, expected: tuple[int, int]) -> None:
    """Ends are whole tokens, rounded, and an output has at least one."""
    settings = parse_workloads({"load": {"output_tokens": tokens, "output_spread": spread}}, file="x.yaml")

    assert settings.load.output_range == expected


def test_only_the_limits_that_are_set_are_asked() -> None:
    """An absent limit is absent, not zero."""
    settings = parse_workloads({"limits": {"ttft_ms": {"percentile": 90, "at_most_ms": 5}}}, file="x.yaml")

    assert list(settings.limits.asked()) == ["ttft_ms"]
