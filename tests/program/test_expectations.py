"""What is expected of a cluster that is there already."""

import pytest

from infra.expectations import expectations
from optimal_tp.settings.infra import parse_infra
from tests.fakes_stack_files import EXISTING, stack_config
from tests.fakes_workloads import on_existing, order, program


def test_an_existing_cluster_is_told_what_is_expected_of_it() -> None:
    """Each thing that rows 1 to 7 would have made is named, with the settings' own names."""
    infra = stack_config("Pulumi.dev.yaml")["optimal-tp:infra"]
    kept = {key: infra[key] for key in ("zones", "tags", "neuron", "storage")}
    settings = parse_infra({**kept, "existing": EXISTING}, file="f")
    assert settings.existing is not None
    text = "\n".join(expectations(settings, settings.existing, ending=""))

    for word in ("theirs", "Karpenter", "my-scheduler", "EFS CSI driver", "fs-0123456789abcdef0", "their-nodes"):
        assert word in text


def test_preview_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is expected, the plan and the cost are said before anything is made."""
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.info", said.append)
    on_existing()

    assert "expected: cluster theirs, with nodes for pods that are not Neuron's" in said
    assert "3 servers (one-each, packed) on 2 x trn2.3xlarge with 4 logical cores each" in said
    assert any(line.startswith("about 4.50 USD an hour while serving") for line in said)
    assert not any("serving.buckets" in line for line in said)


def test_stated_buckets_are_said_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the preview, and with every run: runs with other graphs are not comparable."""
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.info", said.append)
    made = program(workloads__model={"max_model_len_tokens": 512}, serving__buckets={"prompt_tokens": [256]})

    assert (
        "Qwen3-0.6B: compiled graphs for prompts of 256, 512 tokens, and for contexts (prompt and answer) of 128, 256, "
        "512 tokens (serving.buckets)" in said
    )
    assert {key: value for key, value in order(made).pins.items() if "buckets" in key} == {"prompt_buckets": "256"}
