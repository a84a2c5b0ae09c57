"""The profiles that come with the program, and what a profile is refused for."""

import pathlib

import pytest

from infra.errors import SettingsError
from workloads.local.settings import PROFILES, read_profile


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yaml")))
def test_every_profile_is_parsed(name: str) -> None:
    """Each asks for the seed's degrees of the seed's model, under a limit of its own."""
    profile, file = read_profile(name)

    assert file.endswith(f"{name}.yaml")
    assert (profile.workloads.degrees, profile.workloads.model.name) == ((1, 2, 4), "Qwen/Qwen3-0.6B")
    assert profile.workloads.limits.asked()


def test_a_profile_that_is_not_there_lists_those_that_are() -> None:
    """The remedy has the names to choose from."""
    with pytest.raises(SettingsError) as caught:
        read_profile("slow")

    assert str(caught.value) == (
        "PROFILE is 'slow'; it names a readable file (No such file or directory); "
        "choose full, quick, or name a YAML file"
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

    with pytest.raises(SettingsError, match=r"^PROFILE is '.*bad\.yaml'; it holds YAML \(.*\); mend .*bad\.yaml$"):
        read_profile(str(path))


def test_an_empty_file_is_the_defaults(tmp_path: pathlib.Path) -> None:
    """Nothing said is nothing changed."""
    path = tmp_path / "empty.yaml"
    path.write_text("", encoding="utf-8")

    assert read_profile(str(path))[0].workloads.degrees == (1, 2, 4)
