"""Preflight's rows that need no answer of AWS: Karpenter's support, and what is doubtful about a pair."""

import datetime as dt
import typing

import pytest

from optimal_tp.account.preflight import making
from optimal_tp.facts.versions import KubernetesMinor
from optimal_tp.settings.node_capacity import Neuron


def neuron(**changes: object) -> Neuron:
    """Return the section with ``changes``."""
    price = {"usd_per_hour": 2.25, "source": "a test", "date": "2026-10-03"}
    least = {"zones": ["ap-southeast-4c"], "capacity_types": ["on-demand"], "price": price}
    return Neuron.model_validate({**least, **changes})


@pytest.mark.parametrize(
    ("minor", "day", "state", "remedy"),
    [
        ("1.35", "2026-11-28", "fine", ""),
        ("1.36", "2027-05-31", "fine", ""),
        (
            "1.37",
            "2026-11-28",
            "warning",
            "choose an infra.kubernetes up to 1.36; beyond that, Karpenter logs an error and continues untested",
        ),
        ("1.35", "2027-07-01", "warning", "look for a release of this program with a newer Karpenter"),
    ],
)
def test_karpenter_says_what_it_supports_and_until_when(
    minor: KubernetesMinor, day: str, state: str, remedy: str
) -> None:
    """A Kubernetes that is newer than it is a warning, and so is the end of its own support, 60 days before."""
    row = making.karpenter(minor, dt.date.fromisoformat(day))

    assert (row.check, row.state, row.remedy) == ("Karpenter 1.14.1", state, remedy)
    assert row.found == "supports Kubernetes 1.26 to 1.36; itself supported until 2027-07-31"


@pytest.mark.parametrize(
    ("pair", "state"), [("neuronx-0.9.1", "fine"), ("neuronx-0.16.0", "fine"), ("vllm-neuron-0.29", "warning")]
)
def test_a_pair_that_was_not_read_is_a_warning(pair: str, state: str) -> None:
    """What is a guess is told as one, with the line that would show it to be wrong."""
    row = making.pair(neuron(pair=pair), "1.35")

    assert row.state == state
    assert ("its package table was not read" in row.found) == (state == "warning")
    assert ("nrt_init" in row.remedy) == (state == "warning")


@pytest.mark.parametrize(
    ("pair", "until"),
    [
        ("neuronx-0.9.1", "unsupported since SDK 2.28 (2026-02-26)"),
        ("neuronx-0.16.0", "ends with SDK 2.34 (announced 2026-10-16)"),
        ("vllm-neuron-0.29", "AWS goes on with and still calls beta"),
    ],
)
def test_every_image_says_until_when_aws_keeps_it(pair: typing.Any, until: str) -> None:
    """A warning for each of them: two end, one is beta."""
    row = making.support(neuron(pair=pair))

    assert row.state == "warning"
    assert until in row.found
