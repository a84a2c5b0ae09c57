"""The order of a pod: one JSON file, checked whole, and the same order that a person's options become."""

import argparse
import json
import pathlib
import typing

import pytest

from optimal_tp.cli import run, share, sweep
from optimal_tp.cluster.order import Order, order_of_one, read_order
from optimal_tp.errors import SettingsError
from tests.fakes_candidates import TP1, TP2
from tests.fakes_run import settings

MODEL: typing.Final = {"settings": settings(degrees=[1, 2]), "targets": {"1": ["http://a:1"], "2": ["http://b:1"]}}


def line(folder: pathlib.Path, order: object, *words: str, configure: typing.Any = run.configure) -> argparse.Namespace:
    """Return the line of a pod whose order is ``order``."""
    path = folder / "order.json"
    path.write_text(order if isinstance(order, str) else json.dumps(order), encoding="utf-8")
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser.parse_args(["--order", str(path), *words])


def refused(folder: pathlib.Path, order: object, *words: str) -> list[str]:
    """Return the sentences with which ``order`` is refused, its file being called FILE."""
    with pytest.raises(SettingsError) as caught:
        read_order(line(folder, order, *words))
    return [str(problem).replace(str(folder / "order.json"), "FILE") for problem in caught.value.problems]


def test_a_persons_options_become_the_same_order(tmp_path: pathlib.Path) -> None:
    """Whoever asks, what is measured is the same."""
    asked = {"models": [MODEL], "results": "s3://b/runs", "pins": {"image": "x"}, "publish": True}
    (tmp_path / "settings.yaml").write_text(json.dumps({"workloads": MODEL["settings"]}))
    words = ["--settings", str(tmp_path / "settings.yaml"), "--results", "s3://b/runs", "--publish"]
    words += ["--target", "2=http://b:1/", "--target", "1=http://a:1", "--pin", "image=x"]
    parser = argparse.ArgumentParser()
    run.configure(parser)

    assert order_of_one(parser.parse_args(words), []) == read_order(line(tmp_path, asked))


@pytest.mark.parametrize("asked", [run.asked, sweep.asked, lambda arguments: share.asked(arguments, {})[0]])
def test_every_command_reads_it(tmp_path: pathlib.Path, asked: typing.Any) -> None:
    """A pod is told by file what it does, and by its command as what."""
    order = {"models": [MODEL], "results": "out", "pods": {"count": 1, "job": "loadgen", "start_after_seconds": 0}}
    found = asked(line(tmp_path, order, "--pod", "0", configure=share.configure))

    assert isinstance(found, Order)
    assert found.models[0].targets == {TP1: ("http://a:1",), TP2: ("http://b:1",)}


def test_every_bad_key_is_told_at_once(tmp_path: pathlib.Path) -> None:
    """Each with its place, whatever sections it is in."""
    model = {**MODEL, "settings": {"degrees": [3]}, "rounds": [[1]], "colour": "red"}

    assert refused(tmp_path, {"models": [model], "afterwards": "rest", "receipt": {"node_pool": []}}) == [
        ("FILE models[0].settings.degrees[0]: must be a power of two from 1 to 64, for example 4 (got 3)"),
        "FILE models[0].rounds: every candidate with a target (tp1, tp2) must be in exactly one round (got [[1]])",
        (
            "FILE models[0].colour: must be one of gates, jobs, physics, rounds, settings, targets, whole_chips "
            "(got 'colour')"
        ),
        "FILE results: must be set",
        "FILE afterwards: must be one of leave, probe, stop (got 'rest')",
        "FILE receipt.node_pool: must be text (got [])",
    ]


@pytest.mark.parametrize("rounds", [[[1], [2], [2]], [[1, 2], []], [[1], [4]], []])
def test_each_degree_has_one_round(tmp_path: pathlib.Path, rounds: list[list[int]]) -> None:
    """A degree in no round would never start, one in two would be stopped while it is measured."""
    (sentence,) = refused(tmp_path, {"models": [{**MODEL, "rounds": rounds}], "results": "out"})

    assert ": every candidate with a target (tp1, tp2) must be in exactly one round (got [" in sentence


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"gates": {"2": {"gate": "no-fit", "reason": "x"}}}, "a candidate with a gate must have no target (tp2)"),
        ({"gates": {"4": {"gate": "no-start", "reason": "x"}}}, "must be one of no-fit, misses-slo"),
        (
            {"jobs": {"fetch": "fetch", "compile": {"1": "tp1-compile"}}},
            "every candidate with a target (tp1, tp2) must have one Job that compiles it",
        ),
    ],
)
def test_gates_and_jobs_fit_the_servers(tmp_path: pathlib.Path, wrong: dict[str, typing.Any], rule: str) -> None:
    """A candidate has a word or servers, and whoever has servers is compiled once."""
    (sentence,) = refused(tmp_path, {"models": [{**MODEL, **wrong}], "results": "out"})

    assert f": {rule} (got " in sentence


def test_an_order_in_a_cluster_reads_back(tmp_path: pathlib.Path) -> None:
    """Everything that a conductor needs to know is in the file."""
    model = {
        **MODEL,
        "settings": settings(degrees=[1, 2, 4]),
        "rounds": [["1", "2"]],
        "gates": {"4": {"gate": "no-fit", "reason": "20 GiB of weights, 12 GiB of memory"}},
        "jobs": {"fetch": "fetch", "compile": {"1": "tp1-compile", "2": "tp2-compile"}},
    }
    patience = {"capacity_seconds": 900, "compile_seconds": 5100, "start_seconds": 1800}
    found = read_order(line(tmp_path, {"models": [model], "results": "out", "patience": patience}))

    assert found is not None
    assert read_order(line(tmp_path, found.model_dump_json())) == found
    assert found.models[0].jobs is not None
    assert found.models[0].jobs.compile == {TP1: "tp1-compile", TP2: "tp2-compile"}


@pytest.mark.parametrize(
    ("word", "value"),
    [("--target", "1=http://c"), ("--results", "out"), ("--pin", "a=b"), ("--steady", None), ("--no-ignore-eos", None)],
)
def test_nothing_stands_beside_it(tmp_path: pathlib.Path, word: str, value: str | None) -> None:
    """An option that would be passed over in silence is refused."""
    words = [word] if value is None else [word, value]

    assert refused(tmp_path, {"models": [MODEL], "results": "out"}, *words) == [
        f"--order: must stand alone: the file has everything (got 'FILE'); remove {word}"
    ]


def test_a_file_that_is_no_order(tmp_path: pathlib.Path) -> None:
    """Cut, or not there: the sentence says so, and what writes it anew."""
    arguments = line(tmp_path, "{")
    (tmp_path / "order.json").unlink()
    with pytest.raises(
        SettingsError, match=r"readable JSON file \(\[Errno 2\] .*\); run `pulumi up` to write it again$"
    ):
        read_order(arguments)

    (sentence,) = refused(tmp_path, "{")
    assert sentence.startswith("--order: must name a readable JSON file (Expecting property name")
