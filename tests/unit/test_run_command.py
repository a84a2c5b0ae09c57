"""The run command's line: everything that is wrong with it is told at once, before anything is asked of a server."""

import argparse
import asyncio
import io
import pathlib
import typing

import pytest
from rich.console import Console

from optimal_tp.cli.run import asked, configure
from optimal_tp.cluster.assembly import conducted
from optimal_tp.cluster.beginnings import degree_of
from optimal_tp.cluster.order import ModelOrder, Order
from optimal_tp.errors import ServerFailed, SettingsError
from optimal_tp.experiment.session import Session
from optimal_tp.facts.candidates import Candidate
from optimal_tp.plan.lineup import Refusal
from optimal_tp.telemetry.console import PlainWatcher, Watcher
from optimal_tp.telemetry.heartbeat import Heartbeat
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_run import parsed, settings
from tests.fakes_watch import PROGRESS


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
    assert list(model.targets.items()) == [(TP1, ("http://a:1", "http://c:1")), (TP2, ("http://b:1",))]
    assert (degree_of(TP1, model).cores_used, degree_of(TP2, model).cores_used) == (2, 2)


def test_a_degree_without_a_target_has_no_capacity() -> None:
    """It gets its word and the reason instead of being forgotten."""
    record = degree_of(TP4, ModelOrder(settings=parsed(settings(degrees=[1, 4])), targets={TP1: ("http://a",)}))

    assert (record.gate, record.reason) == ("no-capacity", "no --target 4=URL was given")


def test_a_candidate_that_the_plan_refused_keeps_the_plans_word() -> None:
    """The preview has said it with its number."""
    gates = {TP4: Refusal("no-fit", "it needs 20 GiB")}
    found = ModelOrder(settings=parsed(settings(degrees=[1, 4])), targets={TP1: ("http://a",)}, gates=gates)

    assert (degree_of(TP4, found).gate, degree_of(TP4, found).reason) == ("no-fit", "it needs 20 GiB")


class _Unreachable:
    """A session whose servers do not answer."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    async def conduct(self) -> None:
        raise ServerFailed("http://a does not answer")


@pytest.mark.parametrize("in_cluster", [False, True])
def test_a_failure_is_said_once_on_a_terminal_and_kept_for_who_watches(*, in_cluster: bool) -> None:
    """The command itself says it at its end; in a cluster the bucket has it for `watch`."""
    screen = io.StringIO()
    watcher: Watcher = PlainWatcher(Console(file=screen))
    if in_cluster:
        watcher = Heartbeat(watcher, lambda _: None, PROGRESS)
    with pytest.raises(ServerFailed):
        asyncio.run(conducted(typing.cast("Session", _Unreachable(watcher))))

    assert ("http://a does not answer" in screen.getvalue()) == in_cluster


def test_a_bucket_is_told_from_a_folder(tmp_path: pathlib.Path) -> None:
    """``s3://bucket/prefix/`` is a bucket and a prefix, anything else a folder."""
    remote = _parsed(tmp_path, "--target", "1=http://a", "--results", "s3://b/p/q/")
    local = _parsed(tmp_path, "--target", "1=http://a", "--results", "some/where")

    assert (remote.bucket, remote.folder) == (("b", "p/q"), pathlib.Path())
    assert (local.bucket, local.folder) == (None, pathlib.Path("some/where"))


def test_results_must_be_kept_somewhere(tmp_path: pathlib.Path) -> None:
    """What is measured and not kept is no measurement."""
    with pytest.raises(SettingsError, match=r"^--results: must be set: .*\(not set\); add --"):
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
        "--target[0]: must be CANDIDATE=URL: a degree (2) or a degree and its batch (tp2-b16), and an http(s) "
        "URL (got 'http://a'); write it as 1=http://127.0.0.1:8001"
    )


def test_a_target_of_a_degree_that_is_not_asked_for(tmp_path: pathlib.Path) -> None:
    """The degrees of the settings are in the sentence."""
    with pytest.raises(SettingsError) as caught:
        _parsed(tmp_path, "--target", "4=http://a", "--results", "r")

    assert str(caught.value) == (
        "--target[0]: must be one of the candidates in the settings (tp1, tp2) (got '4=http://a'); correct the "
        "target or the settings"
    )


def test_no_target_at_all(tmp_path: pathlib.Path) -> None:
    """An experiment without servers is refused with an example."""
    with pytest.raises(SettingsError, match=r"^--target: must name at least one server \(not set\); add --target "):
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
        f"--settings: must name a readable file ({missing}: no such file or directory) (got '{missing}'); "
        "name a YAML file"
    )


def test_a_candidate_with_a_batch_is_written_out(tmp_path: pathlib.Path) -> None:
    """As ``tp1-b4``; a degree with one batch as its number or as ``tp2``."""
    settings = "workloads: {degrees: [1, 2], model: {max_num_seqs: {1: [4, 16], 2: 8}}}\n"
    words = ("--target", "tp2=http://b:1", "--target", "tp1-b16=http://c:1", "--target", "tp1-b4=http://a:1")
    (model,) = _parsed(tmp_path, *words, "--results", "r", settings=settings).models

    assert list(model.targets) == [Candidate(1, 4), Candidate(1, 16), TP2]
    assert (
        degree_of(Candidate(1, 4), model.model_copy(update={"targets": {}})).reason == "no --target 1-b4=URL was given"
    )


def test_batches_by_memory_are_refused_where_it_is_not_known(tmp_path: pathlib.Path) -> None:
    """Servers that somebody else started have theirs already."""
    with pytest.raises(SettingsError) as caught:
        _parsed(
            tmp_path, "--target", "1=http://a", "--results", "r", settings="workloads: {model: {max_num_seqs: auto}}\n"
        )

    assert "workloads.model.max_num_seqs: must be a number for your own servers" in str(caught.value)
