"""The run command's line: everything that is wrong with it is told at once, before anything is asked of a server."""

import argparse
import pathlib

import pytest

from optimal_tp.cli.run import asked, configure
from optimal_tp.cluster.assembly import _degree
from optimal_tp.cluster.order import Order
from optimal_tp.errors import SettingsError


def _parsed(folder: pathlib.Path, *words: str, settings: str = "workloads: {degrees: [1, 2]}\n") -> Order:
    path = folder / "settings.yaml"
    path.write_text(settings, encoding="utf-8")
    parser = argparse.ArgumentParser()
    configure(parser)
    return asked(parser.parse_args(["--settings", str(path), *words]))


def test_targets_of_one_degree_are_replicas(tmp_path: pathlib.Path) -> None:
    """Degrees come in rising order, URLs in the order given and without a slash at their end."""
    order = _parsed(
        tmp_path, "--target", "2=http://b:1/", "--target", "1=http://a:1", "--target", "1=http://c:1", "--results", "r"
    )

    (model,) = order.models
    assert list(model.targets.items()) == [(1, ("http://a:1", "http://c:1")), (2, ("http://b:1",))]
    assert (_degree(1, model.targets[1]).cores_used, _degree(2, model.targets[2]).cores_used) == (2, 2)


def test_a_degree_without_a_target_has_no_capacity() -> None:
    """It gets its word and the reason instead of being forgotten."""
    record = _degree(4, ())

    assert (record.gate, record.reason) == ("no-capacity", "no --target 4=URL was given")


def test_a_bucket_is_told_from_a_folder(tmp_path: pathlib.Path) -> None:
    """``s3://bucket/prefix/`` is a bucket and a prefix, anything else a folder."""
    remote = _parsed(tmp_path, "--target", "1=http://a", "--results", "s3://b/p/q/")
    local = _parsed(tmp_path, "--target", "1=http://a", "--results", "some/where")

    assert (remote.bucket, remote.folder) == (("b", "p/q"), pathlib.Path())
    assert (local.bucket, local.folder) == (None, pathlib.Path("some/where"))


def test_results_must_be_kept_somewhere(tmp_path: pathlib.Path) -> None:
    """What is measured and not kept is no measurement."""
    with pytest.raises(SettingsError, match=r"^--results is not set; what is measured must be kept somewhere; add --"):
        _parsed(tmp_path, "--target", "1=http://a")


def test_every_mistake_is_told_at_once(tmp_path: pathlib.Path) -> None:
    """A bad key in the file, three bad targets, a bad pin and a bucket without a name: six sentences."""
    with pytest.raises(SettingsError) as caught:
        _parsed(
            tmp_path,
            *("--target", "http://a", "--target", "1=ftp://a", "--target", "x=http://a"),
            *("--pin", "image", "--results", "s3:///p"),
            settings="workloads: {degrees: [1, 2], colour: red}\n",
        )

    assert [problem.path for problem in caught.value.problems] == [
        "workloads.colour",
        "--target[0]",
        "--target[1]",
        "--target[2]",
        "--pin[0]",
        "--results",
    ]
    assert str(caught.value.problems[1]) == (
        "--target[0] is 'http://a'; a target is DEGREE=URL with a URL of http or https; "
        "write it as 1=http://127.0.0.1:8001"
    )


def test_a_target_of_a_degree_that_is_not_asked_for(tmp_path: pathlib.Path) -> None:
    """The degrees of the settings are in the sentence."""
    with pytest.raises(SettingsError) as caught:
        _parsed(tmp_path, "--target", "4=http://a", "--results", "r")

    assert str(caught.value) == (
        "--target[0] is '4=http://a'; its degree is one of workloads.degrees (1, 2); correct the degree or the settings"
    )


def test_no_target_at_all(tmp_path: pathlib.Path) -> None:
    """An experiment without servers is refused with an example."""
    with pytest.raises(
        SettingsError, match=r"^--target is not set; the experiment has at least one server; add --target "
    ):
        _parsed(tmp_path, "--results", "r")


def test_a_local_profile_can_be_used(tmp_path: pathlib.Path) -> None:
    """Its ``local`` section is another place's matter."""
    order = _parsed(
        tmp_path,
        *("--target", "1=http://a", "--results", "r"),
        settings="workloads: {degrees: [1]}\nlocal: {shape: Qwen/Qwen3-0.6B}\n",
    )

    assert order.models[0].settings.degrees == (1,)


def test_settings_that_are_not_there(tmp_path: pathlib.Path) -> None:
    """The file's name and the system's reason."""
    parser = argparse.ArgumentParser()
    configure(parser)
    missing = str(tmp_path / "no.yaml")

    with pytest.raises(SettingsError) as caught:
        asked(parser.parse_args(["--settings", missing, "--target", "1=http://a", "--results", "r"]))

    assert str(caught.value) == (
        f"--settings is '{missing}'; it names a readable file (No such file or directory); name a YAML file"
    )
