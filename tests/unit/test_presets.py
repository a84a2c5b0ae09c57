"""Presets fill what is not stated, and what a trace rules out is told."""

import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.settings.presets import PRESETS, Preset
from optimal_tp.settings.workload import Limit, WorkloadSettings, parse_workloads
from tests.fakes_samples import whole


def parsed(**section: typing.Any) -> WorkloadSettings:
    """Return the settings in ``section``."""
    return parse_workloads(section, file="x.yaml")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_whole(preset: Preset) -> None:
    """Alone it is an experiment, and what it is read back from is the same one."""
    settings = parsed(preset=preset)

    assert settings.load.prompt_tokens == PRESETS[preset]["load"]["prompt_tokens"]
    assert set(settings.limits.asked()) == set(PRESETS[preset]["limits"])
    assert parse_workloads(settings.model_dump(mode="json"), file="run.json") == settings


def test_what_is_stated_stays() -> None:
    """Key by key: one length and one limit of ten; a limit of null is none."""
    settings = parsed(
        preset="chat",
        load={"output_tokens": 200},
        limits={"ttft_ms": {"percentile": 90, "at_most_ms": 1000}, "tpot_ms": None},
    )

    assert (settings.load.prompt_tokens, settings.load.output_tokens) == (1020, 200)
    assert settings.limits.asked() == {"ttft_ms": Limit(percentile=90, at_most_ms=1000)}
    assert settings.model.max_model_len_tokens == 2048


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        (
            {"preset": "poems"},
            "x.yaml workloads.preset: must be one of chat, code, summarise, batch (got 'poems')",
        ),
        (
            {"load": {"trace_use": "arrivals"}},
            (
                "x.yaml workloads.load.trace_use: must go with load.trace: it is the source of the arrivals (got "
                "'arrivals')"
            ),
        ),
        (
            {"load": {"trace": "a.csv", "trace_use": "arrivals"}},
            (
                "x.yaml workloads.limits: must have a limit with load.trace_use arrivals: without one, each request "
                "waits for an answer (got {})"
            ),
        ),
        (
            {"load": {"trace": "a.csv", "prompt": "seed"}},
            (
                "x.yaml workloads.load.trace: must go with load.prompt synthetic: the trace sets the length of "
                "prompts (got 'a.csv')"
            ),
        ),
    ],
)
def test_what_cannot_be_is_told(section: dict[str, typing.Any], sentence: str) -> None:
    """With the key, its value and the rule."""
    with pytest.raises(SettingsError, match=whole(sentence)):
        parsed(**section)
