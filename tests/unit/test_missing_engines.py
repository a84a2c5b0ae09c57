"""What a machine without engines is told: one line for each, with what is missing and how to get it."""

import pathlib

import pytest

from tests.engines.fakes_engines import CONTROL_PLANE, EKS_PLUGIN, KARPENTER, PULUMI, needs, told


def test_each_missing_engine_is_told_once() -> None:
    """Three tests lack two engines: two lines, each with its programs, its remedy and the number of its tests."""
    missing = {CONTROL_PLANE: ["etcd"], PULUMI: ["pulumi", "pulumi-language-python"], EKS_PLUGIN: []}
    both = f"Skipped: not on this machine: {CONTROL_PLANE.name}, {PULUMI.name}"
    reasons = [both, both, f"Skipped: not on this machine: {CONTROL_PLANE.name}"]

    assert told(missing, reasons) == [
        f"missing engine: Kubernetes control plane: no etcd; {CONTROL_PLANE.remedy} (3 skipped)",
        f"missing engine: Pulumi engine: no pulumi, pulumi-language-python; {PULUMI.remedy} (2 skipped)",
    ]


def test_nothing_is_told_of_an_engine_that_no_test_wanted() -> None:
    """Whoever runs one file hears of its engines only."""
    assert told({PULUMI: ["pulumi"]}, []) == []


def test_a_test_is_skipped_for_what_is_missing_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any program the reason names the engines; the mark skips."""
    for name in ("ENGINES", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    mark = needs(PULUMI, EKS_PLUGIN).mark

    assert mark.args == (True,)
    assert mark.kwargs["reason"] == "not on this machine: Pulumi engine, Pulumi's eks component"


def test_a_program_counts_only_with_what_must_lie_beside_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Karpenter is missing without the definitions of its version; with them it is not."""
    for name in KARPENTER.programs:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("ENGINES", str(tmp_path))
    without = KARPENTER.missing()
    (tmp_path / KARPENTER.beside).mkdir()

    assert (without, KARPENTER.missing()) == (["karpenter with a folder crds beside it"], [])
