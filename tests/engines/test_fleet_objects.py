"""Every object of a planned fleet before a real API server, with the definitions of its custom kinds."""

import pathlib

import pytest
import yaml

from optimal_tp.__main__ import main
from tests.engines.fakes_api_server import control_plane
from tests.engines.fakes_cluster import CRDS, applied, created, define_karpenter
from tests.engines.fakes_engines import CONTROL_PLANE, needs
from tests.fakes_run import SEED_EXPERIMENT, planted_run, price, settings, store
from tests.fakes_stack_files import ROOT

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300), needs(CONTROL_PLANE)]


def test_a_fleet_is_accepted(tmp_path: pathlib.Path) -> None:
    """Server-side apply with strict fields takes all seven, and takes them again."""
    section = settings(degrees=[1], price=price(2.25, 4))
    source = str(store(tmp_path / "run", *planted_run(SEED_EXPERIMENT[:1], section, blocks=12)))
    asked = ["plan", source, "--rate", "20/s", "--limit", "p99_total_ms=800", "--manifests", str(tmp_path)]
    assert main([*asked, "--stack-file", str(ROOT / "Pulumi.dev.yaml"), "--output", str(tmp_path)]) == 0
    sent = [each for path in sorted(tmp_path.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]
    (tmp_path / "plane").mkdir()
    with control_plane(tmp_path / "plane") as plane:
        define_karpenter(plane)
        define_karpenter(plane, CRDS / "fleet")
        created(
            plane, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "optimal-tp"}}
        )
        answers = [(each["kind"], applied(plane, each)) for _ in range(2) for each in sent]

    assert {(kind, reason) for kind, reason in answers if reason is not None} == set()
    assert len(answers) == 14
