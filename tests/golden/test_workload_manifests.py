"""Every manifest of the experiment, as agreed on, and valid for the API server of the pinned minor version."""

import copy
import re
import typing

import pytest
import yaml

from optimal_tp.plan.timetable import Rounds
from optimal_tp.settings.infra import InfraSettings
from tests.fakes_candidates import TP1, TP2, TP4, TP8
from tests.fakes_goldens import hold_to
from tests.fakes_pulumi import Recording
from tests.fakes_schemas import SCHEMAS, manifests, problems, whole
from tests.fakes_workloads import PROGRAMS, order

_DIGEST = re.compile(r"-(code|settings)-[0-9a-f]{12}$")
WHOLE: typing.Final = "one-each"
"""The stack of Pulumi.dev.yaml, held in every manifest."""
BESIDE: typing.Final = ("pods", "own-model-and-image")
"""Several load generators, and a cluster that is there: held where their manifests differ. The rest is OTHERS."""
_OTHER_DEGREES = re.compile(r"-tp[248]\b")
Manifest = dict[str, typing.Any]


def agreed(recording: Recording) -> list[Manifest]:
    """Return the manifests; our own code and the digests in names are left out."""
    found = []
    for each in manifests(recording):
        manifest = whole(copy.deepcopy(each.inputs))
        if each.name.rpartition("-")[0].endswith("-code"):
            manifest["data"] = "our code"
        found.append(_without_code(manifest))
    return found


def as_text(found: list[Manifest]) -> str:
    """Return manifests as one YAML text, leaves in one line."""
    return yaml.dump_all(found, Dumper=yaml.CSafeDumper, default_flow_style=None, sort_keys=True, width=120)


def named(found: list[Manifest]) -> list[tuple[str, str]]:
    """Return kind and name of each manifest."""
    return [(each["kind"], each["metadata"]["name"]) for each in found]


def _without_code(value: typing.Any) -> typing.Any:
    if isinstance(value, dict):
        if value.get("name") == "code" and "projected" in value:
            names = [_without_code(source["configMap"]["name"]) for source in value["projected"]["sources"]]
            return {"name": "code", "projected": names}
        return {key: _without_code(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_code(part) for part in value]
    return _DIGEST.sub(r"-\1-DIGEST", value) if isinstance(value, str) else value


def test_manifests_are_as_agreed() -> None:
    """A change of any manifest is a change of the golden file, which somebody has read."""
    hold_to(f"manifests-{WHOLE}.yaml", as_text(agreed(PROGRAMS[WHOLE]())))


@pytest.mark.parametrize("name", BESIDE)
def test_what_differs_is_as_agreed(name: str) -> None:
    """Every other manifest is the same, and none is missing; TP1's server and Job stand for those of all degrees."""
    usual, own = agreed(PROGRAMS[WHOLE]()), agreed(PROGRAMS[name]())
    differing = [each for each in own if each not in usual and not _OTHER_DEGREES.search(each["metadata"]["name"])]

    assert [each for each in named(usual) if each not in named(own)] == []
    hold_to(f"manifests-{name}.yaml", as_text(differing))


class Other(typing.NamedTuple):
    """What a stack without a golden file has of its own, beside what the tests of its settings say."""

    servers: dict[str, tuple[str, str, str]]
    """Cores or chips, CPU and memory, by server."""
    rounds: list[Rounds]
    """Of each model: the candidates whose servers run at the same time, round by round."""
    deadline: str
    image: str = "pytorch-inference-vllm-neuronx:0.16.0-neuronx-py312-sdk2.31.1-ubuntu24.04"
    unit: str = "aws.amazon.com/neuroncore"


TODAY: typing.Final = "pytorch-inference-vllm-neuronx:0.29.0.1.2.0-neuronx-py314-sdk2.33.0-ubuntu26.04"
SMALL_NODE: typing.Final = {
    1: ("1", "2720m", "28672Mi"),
    2: ("2", "5440m", "57344Mi"),
    4: ("4", "10880m", "114688Mi"),
}
LARGE_NODE: typing.Final = {
    1: ("1", "2970m", "29696Mi"),
    2: ("2", "5940m", "59392Mi"),
    4: ("4", "11880m", "118784Mi"),
    8: ("8", "23760m", "237568Mi"),
}


def several(amounts: dict[int, tuple[str, str, str]], cores: int) -> dict[str, tuple[str, str, str]]:
    """Return what the servers hold where those of each degree fill ``cores``."""
    counts = {degree: cores // degree for degree in amounts}
    return {
        f"tp{degree}-{replica}" if counts[degree] > 1 else f"tp{degree}": each
        for degree, each in amounts.items()
        for replica in range(counts[degree])
    }


OTHERS: typing.Final[dict[str, Other]] = {
    "equal-cores": Other(several(SMALL_NODE, 4), [((TP1, TP2, TP4),)], "2026-11-24T11:16:23+00:00"),
    "rounds": Other(
        several(SMALL_NODE, 4),
        [((TP1,), (TP2,), (TP4,))],
        "2026-11-24T16:07:31+00:00",
    ),
    "turns": Other(
        {f"tp{degree}": each for degree, each in SMALL_NODE.items()},
        [((TP1, TP2), (TP4,))],
        "2026-11-24T16:07:31+00:00",
    ),
    "sweep": Other(
        {
            **{f"qwen3-0-6b-tp{degree}": SMALL_NODE[degree] for degree in (1, 2, 4)},
            **{f"qwen3-8b-tp{degree}": SMALL_NODE[degree] for degree in (2, 4)},
        },
        [((TP1, TP2, TP4),), ((TP2, TP4),)],
        "2026-11-24T16:32:50+00:00",
    ),
    "plugin-on-large-node": Other(several(LARGE_NODE, 8), [((TP1, TP2, TP4, TP8),)], "2026-11-24T11:57:48+00:00"),
    "whole-chips": Other(
        {f"tp{degree}": ("1", "10880m", "114688Mi") for degree in (1, 2, 4)},
        [((TP1, TP2, TP4),)],
        "2026-11-24T11:16:23+00:00",
        TODAY,
        "aws.amazon.com/neuron",
    ),
}


def compilers(recording: Recording) -> list[dict[str, typing.Any]]:
    """Return the container of each compile Job."""
    jobs = [each for each in recording.of_type("batch/v1:Job") if "-compile-" in each.name]
    return [each.inputs["spec"]["template"]["spec"]["containers"][0] for each in jobs]


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_stacks_differ_in_this(name: str) -> None:
    """Cores, CPU and memory of each server; rounds, deadline and image."""
    recording, other = PROGRAMS[name](), OTHERS[name]
    pods = {
        each.name.removesuffix("-pods"): each.inputs["spec"]
        for each in recording.of_type("apps/v1:Deployment")
        if each.name != "loadgen-pods"
    }
    containers = {server: spec["template"]["spec"]["containers"][0] for server, spec in pods.items()}
    asked = {server: each["resources"]["requests"] for server, each in containers.items()}

    assert {server: (each[other.unit], each["cpu"], each["memory"]) for server, each in asked.items()} == other.servers
    assert {tuple(sorted(each["resources"]["limits"])) for each in containers.values()} == {(other.unit, "memory")}
    # Without a limit on CPU, which would hold back what is measured.
    assert {tuple(sorted(each["resources"]["limits"])) for each in compilers(recording)} == {(other.unit, "memory")}
    assert [model.rounds for model in order(recording).models] == other.rounds
    assert recording.one("ConfigMap guard-deadline").inputs["data"] == {"deadline": other.deadline}
    assert {each["image"].rpartition("/")[2] for each in containers.values()} == {other.image}


def test_servers_that_load_a_cache_have_it_on_their_own_disk() -> None:
    """Copied before the server starts, from what its Job published on the volume; nothing else mounts differently."""
    recording = PROGRAMS["whole-chips"]()
    pod = recording.one("Deployment tp2-pods").inputs["spec"]["template"]["spec"]
    job = recording.one("Job artifacts-compile-tp2").inputs["spec"]["template"]["spec"]
    (copy_,), (server,), (compiler,) = pod["initContainers"], pod["containers"], job["containers"]
    published = compiler["command"][compiler["command"].index("--folder") + 1]

    assert copy_["command"] == ["cp", "-R", f"{published}/.", "/tmp/vllm-cache"]  # noqa: S108 - an emptyDir
    assert {"name": "VLLM_CACHE_ROOT", "value": copy_["command"][-1]} in server["env"]
    assert "--loads-cache" in compiler["command"]
    assert [each["mountPath"] for each in copy_["volumeMounts"]] == ["/var/mdl", "/tmp"]  # noqa: S108 - likewise
    assert "initContainers" not in PROGRAMS[WHOLE]().one("Deployment tp2-pods").inputs["spec"]["template"]["spec"]


def test_every_program_is_held() -> None:
    """Whole, where it differs, or in what it has of its own."""
    assert {WHOLE, *BESIDE, *OTHERS} == PROGRAMS.keys()


@pytest.mark.parametrize("name", PROGRAMS)
def test_manifests_are_valid(name: str) -> None:
    """The API server of the pinned minor accepts every object: no unknown field, no wrong type, nothing missing."""
    found = [problem for each in manifests(PROGRAMS[name]()) for problem in problems(whole(each.inputs))]

    assert len(manifests(PROGRAMS[name]())) > 10
    assert found == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.template.spec.schedulername", "my-scheduler"),
        ("spec.replicas", "one"),
        ("spec.template.spec.containers", None),
        ("spec.template.spec.containers.0.resources.requests.cpu", "2 CPUs"),
    ],
    ids=["misspelt", "wrong type", "missing", "no quantity"],
)
def test_a_broken_manifest_is_found(path: str, value: object) -> None:
    """The check above fails on a field that the API server does not know, cannot read, or misses."""
    found = {each.name: each.inputs for each in manifests(PROGRAMS[WHOLE]())}
    spoilt = whole(copy.deepcopy(found["tp1-pods"]))
    place = spoilt
    *above, last = path.split(".")
    for part in above:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value

    assert len(problems(spoilt)) == 1


def test_the_schemas_are_of_the_default_minor() -> None:
    """Whoever raises the minor brings its schemas."""
    assert SCHEMAS.name.startswith(f"kubernetes-{InfraSettings.model_fields['kubernetes'].default}.")
