"""Ordered faults: each operation goes wrong the first time it is tried, in its place, and never again."""

import pathlib

from tests.engines.fakes_aws.faults import order, rearm, strike, struck


def test_without_an_order_nothing_goes_wrong(tmp_path: pathlib.Path) -> None:
    """No file, no fault."""
    assert strike(tmp_path / "world.json", "aws create a") is None


def test_operations_in_their_places_go_wrong_once(tmp_path: pathlib.Path) -> None:
    """The second and third of four that are tried; a second try of each is well."""
    model = tmp_path / "world.json"
    order(model, "refuse", range(1, 3))

    tries = [strike(model, f"aws create {name}") for name in ("a", "b", "c", "d", "b", "c", "a")]

    assert tries == [None, "refuse", "refuse", None, None, None, None]
    assert struck(model) == ["aws create b", "aws create c"]


def test_one_kill_is_enough_for_a_run(tmp_path: pathlib.Path) -> None:
    """Whoever is dead is not killed again; what was tried beside it is new to the next run."""
    model = tmp_path / "world.json"
    order(model, "kill", range(9))
    first = [strike(model, name) for name in ("a", "b")]
    rearm(model)
    second = [strike(model, name) for name in ("a", "b")]

    assert (first, second) == (["kill", None], [None, "kill"])


def test_a_charts_rollback_is_left_alone(tmp_path: pathlib.Path) -> None:
    """Of a chart's requests one goes wrong in a run; other objects beside it meet their own fault."""
    model = tmp_path / "world.json"
    order(model, "lose", range(9))
    keys = [
        "POST /api/v1/namespaces/kube-system/secrets a",
        "DELETE /api/v1/namespaces/kube-system/secrets a",
        "PATCH /x",
    ]

    assert [strike(model, f"kubernetes {key}") for key in keys] == ["lose", None, "lose"]
