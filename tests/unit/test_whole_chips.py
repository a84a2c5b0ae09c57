"""A server on whole chips: who keeps a core from others pays for it, in the run, in the fleet and in the settings."""

import datetime as dt
import typing

import pytest

from optimal_tp.cluster.beginnings import degree_of
from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.ground import ClusterGround
from optimal_tp.cluster.order import ModelOrder, PatienceOrder
from optimal_tp.errors import SettingsError
from optimal_tp.facts.hardware import INSTANCE_TYPES, cores_held
from optimal_tp.facts.versions import PAIRS
from optimal_tp.fleet.buying import Buying
from optimal_tp.plan.feasibility import feasible_plan
from optimal_tp.settings.stack_file import parse_cluster
from optimal_tp.settings.workload import Price, WorkloadSettings
from tests.fakes_candidates import TP1, TP4, TP8

KIND: typing.Final = INSTANCE_TYPES["trn2.3xlarge"]


@pytest.mark.parametrize(("degree", "held"), [(1, 4), (2, 4), (4, 4), (5, 8), (8, 8)])
def test_a_degree_holds_the_cores_of_its_chips(degree: int, held: int) -> None:
    """Whole chips of four logical cores, or just its own."""
    assert (cores_held(degree, whole_chips=True), cores_held(degree, whole_chips=False)) == (held, degree)


@pytest.mark.parametrize(("whole_chips", "cores"), [(False, 2), (True, 8)])
def test_a_run_divides_by_the_cores_that_are_held(*, whole_chips: bool, cores: int) -> None:
    """Two servers of TP1: loads and figures per core are of two cores, or of two chips."""
    urls = ("http://a:8000", "http://b:8000")
    order = ModelOrder(settings=WorkloadSettings(degrees=(1,)), targets={TP1: urls}, whole_chips=whole_chips)
    record = degree_of(TP1, order)

    assert (record.cores_used, record.cores_allocated) == (cores, cores)


@pytest.mark.parametrize(("whole_chips", "usd"), [(False, 0.9), (True, 3.6)])
def test_a_start_costs_the_cores_that_are_held(*, whole_chips: bool, usd: float) -> None:
    """An hour of TP1 on a node of four cores for $3.60."""
    ground = ClusterGround(
        controls=typing.cast("Controls", None),
        patience=PatienceOrder(capacity_seconds=1, compile_seconds=1, start_seconds=1),
        price=Price(usd_per_hour=3.6, billed_cores=4, source="a test", date="2026-07-01"),
        pool=None,
        run_began=dt.datetime(2026, 7, 1, tzinfo=dt.UTC),
        whole_chips=whole_chips,
    )

    assert ground.cost_usd(1, 3600) == pytest.approx(usd)


@pytest.mark.parametrize(("whole_chips", "usd"), [(False, (2.0, 2.0)), (True, (8.0, 2.0))])
def test_a_fleet_is_bought_by_the_cores_that_are_held(*, whole_chips: bool, usd: tuple[float, float]) -> None:
    """Four servers of TP1 fit one small node, or one each; one of TP4 takes a node either way."""
    buying = Buying(instance_type="trn2.3xlarge", usd_per_node_hour=2.0, whole_chips=whole_chips)

    assert (buying.cost(4, TP1.degree), buying.cost(1, TP4.degree)) == usd


def test_equal_cores_that_are_no_whole_chips_are_refused() -> None:
    """Half a chip cannot be had."""
    settings = parse_cluster({"workloads": {"degrees": [1, 2]}, "serving": {"equal_cores": 2}}, file="test.yaml")
    with pytest.raises(SettingsError) as refused:
        feasible_plan(settings, KIND, maximum_nodes=2, file="test.yaml", engine=PAIRS["vllm-neuron-0.29"].engine)

    assert str(refused.value) == (
        "test.yaml serving.equal_cores: must be a multiple of 4: the image of infra.neuron.pair takes whole chips of 4 "
        "logical cores (got 2); correct it or remove it"
    )


def test_two_chips_hold_tp8() -> None:
    """Which a small node has not."""
    assert Buying(instance_type="trn2.3xlarge", usd_per_node_hour=2.0).cost(1, TP8.degree) == float("inf")
