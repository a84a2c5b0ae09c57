"""Carrying on touches one place: each test adds one thing to a copy of the program, and everything takes it."""

import pathlib
import shutil
import subprocess
import sys
import textwrap

import pytest

from tests.fakes_stack_files import ROOT
from tests.fakes_workloads import order, program

COPIED = (
    "__main__.py",
    "optimal_tp",
    "infra",
    "workloads",
    "policy",
    "tests",
    "requirements",
    "Pulumi.dev.yaml",
    "Pulumi.prod.yaml",
    "docs",
)


@pytest.fixture
def copy(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a copy of the program and its tests, which may be changed."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "engines", "*.png"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def put(copy: pathlib.Path, file: str, before: str, added: str) -> None:
    """Add ``added`` in front of the first ``before`` in ``file``: the one place."""
    path = copy / file
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, textwrap.dedent(added) + before, 1), encoding="utf-8")


def ran(copy: pathlib.Path, script: str) -> str:
    """Return what ``script`` prints in the copy."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_degree_is_a_word_in_a_stack_file() -> None:
    """Servers, compile Job, load generator and dashboard come with it; no code knows which degrees there are."""
    recording = program("Pulumi.prod.yaml", workloads__degrees=[1, 16], serving={"layout": "one-each"})
    pods = recording.one("Deployment tp16-pods").inputs["spec"]["template"]["spec"]

    assert "--tensor-parallel-size 16" in " ".join(str(word) for word in pods["containers"][0]["command"])
    assert recording.one("Job artifacts-compile-tp16").inputs["metadata"]["name"] == "qwen-vllm-tp16-compile"
    assert order(recording).models[0].settings.degrees == (1, 16)
    assert '"TP16"' in recording.one("Dashboard dashboard-board").inputs["dashboardBody"]


def test_a_metric_is_a_row_of_its_table(copy: pathlib.Path) -> None:
    """Publisher, dashboard and documentation take it from there."""
    put(
        copy,
        "optimal_tp/measurement/metrics.py",
        '    Metric(\n        name="RPS",',
        """\
            Metric(
                name="OutputTokens",
                unit="Count",
                dimensions=("Model",),
                statistics=("Average",),
                direction="neither",
                formula="output_tokens",
                title="Output tokens of a request",
                of_request=lambda sample: sample.output_tokens,
            ),
        """,
    )
    said = ran(
        copy,
        """
        import json
        from tests.fakes_samples import make_sample
        from optimal_tp.facts.candidates import Candidate
        from optimal_tp.telemetry.minutes import Minutes
        from workloads.manifests.panels import Board, dashboard_body
        from optimal_tp.cli.reference import metrics_page
        from optimal_tp.settings.workload import Limits

        minutes = Minutes(origin_epoch_seconds=0, settle_seconds=0)
        minutes.add(make_sample(output_tokens=7))
        published = {datum["MetricName"]: datum["Values"] for datum in minutes.whole(120)}
        board = Board(title="", slug="", candidates=(Candidate(1), Candidate(2)), limits=Limits())
        drawn = json.dumps(dashboard_body([board], region="us-east-2", usd_per_hour=None))
        print(published["OutputTokens"], "Output tokens of a request" in drawn)
        print("## Output tokens of a request (`OutputTokens`)" in metrics_page())
        """,
    )

    assert said.split() == ["[7]", "True", "True"]


def test_a_model_family_is_an_entry_of_its_table(copy: pathlib.Path) -> None:
    """Stack file, plan, local weights, the user's own model and the report know it then."""
    put(
        copy,
        "optimal_tp/facts/families.py",
        '    "qwen2": Family(',
        """\
            "tiny": Family(architecture="TinyForCausalLM", qk_norms="per head"),
        """,
    )
    put(
        copy,
        "optimal_tp/facts/known.py",
        '    "Qwen/Qwen3-0.6B": _qwen3(',
        """\
            "me/tiny-1b": dataclasses.replace(_qwen3(2048, 16, 32, 8192, tied=True), family="tiny"),
        """,
    )
    put(
        copy,
        "optimal_tp/facts/known.py",
        "import typing",
        """\
        import dataclasses
        """,
    )
    said = ran(
        copy,
        """
        import json, pathlib
        from optimal_tp.facts.hardware import INSTANCE_TYPES
        from optimal_tp.settings.stack_file import parse_cluster
        from optimal_tp.plan.feasibility import feasible_plan
        from optimal_tp.facts.known import SHAPES
        from optimal_tp.local.profile import read_profile
        from optimal_tp.local.weights import read_sizes, write_model
        from optimal_tp.report.across import _size

        model = {"name": "me/tiny-1b", "revision": "1"}
        settings = parse_cluster({"workloads": {"model": model}}, file="f")
        plan = feasible_plan(settings, INSTANCE_TYPES["trn2.3xlarge"], maximum_nodes=2, file="f")
        folder = pathlib.Path("made")
        write_model(folder, SHAPES["me/tiny-1b"], max_position_tokens=128)
        pathlib.Path("p.yaml").write_text(
            "workloads: {model: {name: mine, revision: r}}\\nlocal: {sizes: {mine: {shape: me/tiny-1b}}}\\n"
        )
        (profile,), _ = read_profile("p.yaml")
        as_made = read_sizes(folder).shape == SHAPES["me/tiny-1b"]
        print(len(plan.servers), as_made, profile.local.shape_of("mine").hidden)
        print(json.loads((folder / "config.json").read_text())["architectures"], "billion" in _size("me/tiny-1b"))
        """,
    )

    assert said.split() == ["7", "True", "2048", "['TinyForCausalLM']", "True"]


def test_an_instance_type_is_an_entry_of_its_table(copy: pathlib.Path) -> None:
    """Stack file, plan, node pool, fleet and settings page know it then."""
    put(
        copy,
        "optimal_tp/facts/hardware.py",
        '    InstanceType(\n        name="trn2.48xlarge",',
        """\
            InstanceType(
                name="trn2.12xlarge",
                chips=4,
                vcpus=48,
                allocatable_cpu_millicores=47500,
                allocatable_memory_mib=480000,
                allocatable_pods=60,
                offered={"ap-southeast-4": ("ap-southeast-4c",)},
            ),
        """,
    )
    said = ran(
        copy,
        """
        import json
        from tests.fakes_settings import page
        from tests.fakes_workloads import order, program
        from optimal_tp.fleet.buying import by_type, nodes_for

        run = program(infra__neuron__instance_type="trn2.12xlarge", workloads__degrees=[1, 16])
        pool = json.dumps(run.one("NodePool pool-nodes").inputs["spec"])
        print('"trn2.12xlarge"' in pool, len(run.of_type("Deployment")), "trn2.12xlarge" in page())
        print(nodes_for(3, 8, "trn2.12xlarge", 9.0).count, by_type(3, 8, {})[0].instance_type)
        """,
    )

    assert said.split() == ["True", "3", "True", "2", "trn2.12xlarge"]
