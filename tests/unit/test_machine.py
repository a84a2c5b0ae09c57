"""What a machine can hold: the number that decides is in the reason."""

import pathlib
import re

import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.known import SHAPES
from optimal_tp.local.machine import ServerPlace, code_revision, places, with_batches
from optimal_tp.local.profile import LocalSettings
from optimal_tp.settings.workload import Model, WorkloadSettings
from tests.fakes_candidates import TP1, TP2, TP4

MODEL = Model()

TOO_FEW = "TP2 needs 2 CPU cores"


def _places(
    *,
    cores: tuple[int, ...] = (4, 5),
    available_gib: float = 20.0,
    shape: str = "Qwen/Qwen3-0.6B",
    candidates: tuple[Candidate, ...] = (TP1, TP2, TP4),
    model: Model = MODEL,
    quota_cores: float | None = None,
) -> dict[Candidate, ServerPlace]:
    found = places(
        candidates,
        cores=cores,
        available_gib=available_gib,
        quota_cores=quota_cores,
        shape=SHAPES[shape],
        model=model,
        local=LocalSettings(),
    )
    return {place.candidate: place for place in found}


def test_binds_each_degree_to_as_many_cores() -> None:
    """One core a logical core, from the first that this process may use."""
    found = _places()

    assert (found[TP1].cores, found[TP2].cores) == (((4,), (5,)), ((4, 5),))


def test_a_degree_above_the_cores_does_not_fit() -> None:
    """The reason has both numbers."""
    found = _places()

    assert found[TP4] == ServerPlace(
        candidate=TP4,
        cores=(),
        reason="TP4 needs 4 CPU cores and this machine has 2",
        host_gib=None,
    )


@pytest.mark.parametrize(
    ("quota", "first", "reason"),
    [
        (
            1.5,
            (4,),
            f"{TOO_FEW} and this machine has 1: a container's quota is 1.5 CPUs of its 2",
        ),
        (
            0.5,
            (4,),
            f"{TOO_FEW} and this machine has 1: a container's quota is 0.5 CPUs of its 2",
        ),
        (2.0, (4,), None),
        (64.0, (4,), None),
    ],
)
def test_a_quota_counts_as_cores(quota: float, first: tuple[int, ...], reason: str | None) -> None:
    """Whole cores of it, at least one: two servers' workers cannot share one core's time."""
    found = _places(quota_cores=quota)

    assert (found[TP1].cores[0], found[TP2].reason) == (first, reason)


def test_servers_add_up_in_memory() -> None:
    """Each server holds its memory while another is measured: the second finds less."""
    found = _places(available_gib=9.0)

    assert found[TP1].reason is None
    assert found[TP2].reason == "the server of TP2 needs about 7.1 GiB; 2.9 GiB of memory are free"


def test_a_model_too_large_for_a_core_does_not_fit_it() -> None:
    """The fit arithmetic decides before a server is started: 8B in bfloat16 is 15 GiB, a core holds 6."""
    found = _places(shape="Qwen/Qwen3-8B", cores=(0, 1, 2, 3), available_gib=100.0)

    assert str(found[TP1].reason).startswith("TP1 needs 15.27 GiB of the 6 GiB of each core")
    assert found[TP2].reason is not None
    assert found[TP4].reason is None


@pytest.mark.parametrize("cores", [(), (3,)], ids=["none", "one"])
def test_fewer_cores_fit_fewer_degrees(cores: tuple[int, ...]) -> None:
    """A machine with one core holds TP1 only, one with none nothing."""
    fitting = [candidate.degree for candidate, place in _places(cores=cores).items() if place.reason is None]

    assert fitting == list(range(1, len(cores) + 1))


def test_without_a_checkout_the_revision_is_no_other_ones_commit(tmp_path: pathlib.Path) -> None:
    """Nor is it where the package lies in an environment inside somebody's checkout: that commit is not the code's."""
    checkout = pathlib.Path(__file__).parents[2]

    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", code_revision(checkout))
    for elsewhere in (tmp_path, checkout / "optimal_tp"):
        assert re.fullmatch(r"optimal-tp \d+\.\d+\.\d+|unknown", code_revision(elsewhere))


def test_where_memory_is_short_a_smaller_degree_has_one_server() -> None:
    """Two TP1 beside one TP2 take 19 GiB; with less one TP1 stands for them, and its cores tell."""
    found = _places(available_gib=18.0)

    assert (found[TP1].cores, found[TP2].cores) == (((4,),), ((4, 5),))


def test_each_batch_has_servers_of_its_own() -> None:
    """They hold memory side by side, so three candidates leave none for a second server of each."""
    small, large = Candidate(1, 1), Candidate(1, 4)
    found = _places(candidates=(small, large, TP2), model=Model(max_num_seqs={1: (1, 4), 2: 1}))

    assert [found[each].cores for each in (small, large, TP2)] == [((4,),), ((4,),), ((4, 5),)]


def test_auto_follows_the_cache_that_a_worker_sets_aside() -> None:
    """1 GiB holds 73 sequences of 128 tokens of the 0.6B model on one core, 146 on two."""
    asked = WorkloadSettings(model=Model(max_num_seqs="auto"), degrees=(1, 2))
    found = with_batches(asked, LocalSettings(), SHAPES["Qwen/Qwen3-0.6B"])

    assert found.model.max_num_seqs == {1: (1, 4, 16, 64), 2: (1, 4, 16, 64)}
