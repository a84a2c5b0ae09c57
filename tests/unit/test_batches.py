"""What a settings file may say of the batches, and which candidates follow."""

import json
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.plan.memory_batches import decided, powers_of_four
from optimal_tp.settings.workload import WorkloadSettings, parse_workloads


def settings(batches: object, **more: typing.Any) -> WorkloadSettings:
    """Return settings with ``batches`` as a file says them."""
    return parse_workloads({"model": {"max_num_seqs": batches}, **more}, file="x.yaml")


@pytest.mark.parametrize(
    ("batches", "names"),
    [
        pytest.param(4, ["TP1", "TP2", "TP4"], id="one number"),
        pytest.param([8], ["TP1", "TP2", "TP4"], id="a list of one"),
        pytest.param([1, 4], ["TP1-B1", "TP1-B4", "TP2-B1", "TP2-B4", "TP4-B1", "TP4-B4"], id="a list"),
        pytest.param({1: 4, 2: [8, 16], 4: [2]}, ["TP1", "TP2-B8", "TP2-B16", "TP4"], id="a map"),
    ],
)
def test_candidates_rise_and_name_their_batch_where_there_are_several(batches: object, names: list[str]) -> None:
    """A degree with one batch is the degree alone; so it is after the settings were kept and read again."""
    found = settings(batches)
    kept = parse_workloads(json.loads(found.model_dump_json()), file="run.json")

    assert [each.name for each in found.candidates] == names
    assert kept == found


def test_every_candidate_has_its_batch() -> None:
    """Named or not."""
    found = settings({1: 4, 2: [8, 16], 4: [2]})

    assert [found.model.batch_of(each) for each in found.candidates] == [4, 8, 16, 2]


def test_the_batches_of_a_sweep_are_each_models_own() -> None:
    """A list goes through the merging of a sweep's entries as a number does."""
    assert settings([1, 2], degrees=[1]).candidates == (Candidate(1, 1), Candidate(1, 2))


@pytest.mark.parametrize(
    ("batches", "sentences"),
    [
        pytest.param(
            {3: 4, 1: 0, 2: [4, 2]},
            [
                ("x.yaml workloads.model.max_num_seqs[3]: must be a power of two from 1 to 64, for example 4 (got 3)"),
                "x.yaml workloads.model.max_num_seqs[1]: must be at least 1 (got 0)",
                (
                    "x.yaml workloads.model.max_num_seqs[2]: must be a list of rising batches, each once, for "
                    "example [1, 4, 16] (got [4, 2])"
                ),
            ],
            id="every bad key of a map",
        ),
        pytest.param(
            "four",
            [
                (
                    "x.yaml workloads.model.max_num_seqs: must be a whole number of at least 1, a list of them, "
                    "a map of either by degree, or auto (got 'four')"
                )
            ],
            id="a word",
        ),
        pytest.param(
            {1: 4, 8: 4},
            [
                (
                    "x.yaml workloads.degrees: must be the degrees of model.max_num_seqs, which has batches for "
                    "1, 8 (got [1, 2, 4])"
                )
            ],
            id="a map of other degrees",
        ),
    ],
)
def test_refuses(batches: object, sentences: list[str]) -> None:
    """Each mistake is one whole sentence."""
    with pytest.raises(SettingsError) as caught:
        settings(batches)

    assert str(caught.value).splitlines() == sentences


@pytest.mark.parametrize(
    ("most", "expected"),
    [(0, (1,)), (3, (1,)), (4, (1, 4)), (63, (1, 4, 16)), (64, (1, 4, 16, 64)), (10**9, tuple(4**n for n in range(8)))],
)
def test_memory_decides_powers_of_four(most: int, expected: tuple[int, ...]) -> None:
    """At least 1, at most what fits, and never more than a name has room for."""
    assert powers_of_four(most) == expected


def test_auto_becomes_numbers_by_degree() -> None:
    """Each degree has the batches that its own memory holds; what is said in numbers stays."""
    found = decided(settings("auto", degrees=[1, 2]), {1: 5, 2: 16}.__getitem__)

    assert [each.name for each in found.candidates] == ["TP1-B1", "TP1-B4", "TP2-B1", "TP2-B4", "TP2-B16"]
    assert decided(settings(4), {1: 1}.__getitem__) == settings(4)


def test_auto_that_nobody_decided_is_an_error_of_ours() -> None:
    """No candidate is made up."""
    with pytest.raises(ValueError, match=r"max_num_seqs is 'auto' still; plan\.batches\.decided puts numbers"):
        _ = settings("auto").candidates
