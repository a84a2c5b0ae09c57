"""The profiles that come with the program, and what a profile is refused for."""

import pathlib
import subprocess

import pytest

from optimal_tp.__main__ import main as program
from optimal_tp.errors import SettingsError
from optimal_tp.local.profile import PROFILES, read_profile


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yaml")))
def test_every_profile_is_parsed(name: str) -> None:
    """Each asks for the AWS sample's degrees under a limit of its own, of its model where there is one alone."""
    profiles, file = read_profile(name)

    assert file.endswith(f"{name}.yaml")
    assert {profile.workloads.degrees for profile in profiles} == {(1, 2, 4)}
    assert all(profile.workloads.limits.asked() for profile in profiles)
    assert len(profiles) > 1 or profiles[0].workloads.model.name == "Qwen/Qwen3-0.6B"


def test_a_profile_that_is_not_there_lists_those_that_are() -> None:
    """The remedy has the names to choose from."""
    with pytest.raises(SettingsError) as caught:
        read_profile("slow")

    assert str(caught.value) == (
        f"PROFILE: must name a readable file ({PROFILES / 'slow.yaml'}: no such "
        "file or directory) (got 'slow'); choose full, quick, sweep or name a YAML file"
    )


def test_mistakes_in_both_sections_are_told_with_their_paths(tmp_path: pathlib.Path) -> None:
    """An unknown shape, a degree of 3 and an unknown section are three sentences."""
    path = tmp_path / "mine.yaml"
    path.write_text("workloads: {degrees: [3]}\nlocal: {shape: GPT}\ncluster: {}\n", encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        read_profile(str(path))

    assert [problem.path for problem in caught.value.problems] == ["workloads.degrees[0]", "local.shape", "cluster"]


def test_a_file_that_is_no_yaml_is_one_sentence(tmp_path: pathlib.Path) -> None:
    """The parser's words are in it, in one line."""
    path = tmp_path / "bad.yaml"
    path.write_text("a: [1,\n", encoding="utf-8")

    with pytest.raises(SettingsError, match=r"bad\.yaml:\d+: must be YAML: expected [^(]*$"):
        read_profile(str(path))


def test_an_empty_file_is_the_defaults(tmp_path: pathlib.Path) -> None:
    """Nothing said is nothing changed."""
    path = tmp_path / "empty.yaml"
    path.write_text("", encoding="utf-8")

    assert read_profile(str(path))[0][0].workloads.degrees == (1, 2, 4)


def test_models_of_one_shape_differ_in_depth() -> None:
    """The profile ``sweep``: as wide as Qwen3-0.6B, a quarter and half as deep, each with its own sizes."""
    profiles, _ = read_profile("sweep")
    shapes = [profile.local.shape_of(profile.workloads.model.name) for profile in profiles]

    assert [(shape.hidden, shape.layers) for shape in shapes] == [(1024, 7), (1024, 14)]


def test_sizes_of_a_model_that_is_not_there_are_refused(tmp_path: pathlib.Path) -> None:
    """A misspelt name would leave the model at another size than its author believes."""
    path = tmp_path / "mine.yaml"
    path.write_text("local: {sizes: {Qwen/Qwen3-06B: {layers: 3}}}\n", encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        read_profile(str(path))

    assert str(caught.value) == (
        f"{path} local.sizes.Qwen/Qwen3-06B: must name a model of this profile: Qwen/Qwen3-0.6B (got 'Qwen/Qwen3-0.6B')"
    )


def test_a_profile_is_checked_before_anything_is_installed(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``make local`` asks this first: neither a wrong profile nor a folder without a model costs a download."""
    folder = tmp_path / "empty"
    folder.mkdir()

    assert program(["local", "--check", "--profile", "quick"]) == 0
    assert program(["local", "--check", "--profile", "quickest"]) == 2
    assert program(["local", "--check", "--model", str(folder)]) == 2
    assert "PROFILE" in capsys.readouterr().err


def test_make_checks_the_profile_first() -> None:
    """In the order in which make would run its recipes on a machine that has nothing installed."""
    root = pathlib.Path(__file__).parents[2]
    asked = ["make", "--dry-run", "--always-make", "local", "PROFILE=quickest"]
    planned = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=True).stdout

    assert planned.index('--profile "quickest" --check') < planned.index("installing vLLM for CPUs")
