"""A well-known scanner over every manifest and IAM document of the program; what it may find has a reason."""

import base64
import collections.abc
import copy
import fnmatch
import functools
import hashlib
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import typing

import pytest
import yaml

from tests.fakes_iam import as_template, documents
from tests.fakes_pulumi import recorded
from tests.fakes_schemas import manifests, whole
from tests.fakes_stack_files import ROOT, STACK_FILES
from tests.fakes_workloads import PROGRAMS

CHECKOV = ROOT / ".venv-scan" / "bin" / "checkov"
pytestmark = [
    pytest.mark.skipif(not CHECKOV.exists(), reason="checkov is not installed; `make .venv-scan/ready` does it"),
    pytest.mark.timeout(300),
]

VLLM = "*.qwen-vllm*-tp*"
OUR_PODS = ("Deployment", "qwen-vllm-loadgen")
OURS = "*.qwen-vllm-loadgen*"
EXCEPTIONS: typing.Final[dict[tuple[str, str], str]] = {
    ("CKV_K8S_8", OURS): "a hanging generator is ended by the guard; a restart would throw a run away",
    ("CKV_K8S_9", OURS): "nobody sends it requests",
    ("CKV_K8S_11", OURS): "a CPU limit throttles whoever measures, and the lag is then in the figures",
    ("CKV_K8S_11", VLLM): "the host's thread sets the pace of decoding: a throttled server looks slow by its degree",
    ("CKV_K8S_11", "*.qwen-vllm-fetch*"): "it runs once, on a node of its own kind, with nobody beside it to disturb",
    ("CKV_K8S_15", "*"): "every image is pinned to one release, so a pull at each start only costs time",
    ("CKV_K8S_22", VLLM): "vLLM's images write below their root; artifacts are mounted read-only",
    ("CKV_K8S_23", VLLM): "nobody lists a user for AWS's vLLM images; serving.run_as_user sets one",
    ("CKV_K8S_40", VLLM): "likewise",
    ("CKV_K8S_38", OURS): "where servers take turns it scales them, by a Role that names each",
    ("CKV_K8S_43", "*"): "a digest cannot be read without the registry; the tag names one release, and ECR Public "
    "tags of AWS's images are not moved",
}
"""(Check, pattern of resources) that may fail, and why."""


LOOKALIKES: typing.Final = {
    "optimal_tp/local/weights.py": "the name of a tokenizer's class",
    "tests/fakes_whole.py": "a creation token, by which EFS tells a second try from a second file system",
    "tests/program/test_hub_token.py": "a made-up token, to be seen in one Secret and nowhere else",
    "tests/unit/test_telling.py": "made-up keys in a log, which no sentence may repeat",
}
"""Files in which the scanner takes something for a secret, and what it is."""


class Finding(typing.NamedTuple):
    """One check that one resource does not pass."""

    check: str
    resource: str


def scanned(
    files: collections.abc.Mapping[str, str],
    frameworks: collections.abc.Sequence[str] = ("kubernetes", "cloudformation"),
) -> tuple[int, set[Finding]]:
    """Return how many checks passed and what was found in ``files``, by name."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (pathlib.Path(folder) / name).write_text(text, encoding="utf-8")
        parts = _told(pathlib.Path(folder), frameworks)
    found = {Finding(each["check_id"], each["resource"]) for part in parts for each in part["results"]["failed_checks"]}
    return sum(part["summary"]["passed"] for part in parts), found


def _told(folder: pathlib.Path, frameworks: collections.abc.Sequence[str]) -> list[dict[str, typing.Any]]:
    """Return the scanner's report of each framework that found files of its kind."""
    command = [str(CHECKOV), "--directory", str(folder), "--framework", *frameworks, "--enable-secret-scan-all-files"]
    command += ["--quiet", "--compact", "--skip-download", "--soft-fail", "--output", "json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    told = json.loads(done.stdout)
    parts = told if isinstance(told, list) else [told]
    # A framework without files of its kind, or a secret scan without a secret, reports no more than a count of zero.
    parts = [part for part in parts if "summary" in part]
    assert all(part["summary"]["parsing_errors"] == 0 for part in parts)
    return parts


def secrets(folder: pathlib.Path) -> set[tuple[str, str]]:
    """Return (file, kind) of every secret in ``folder``."""
    return {
        (each["file_path"].lstrip("/"), each["check_name"])
        for part in _told(folder, ["secrets"])
        for each in part["results"]["failed_checks"]
    }


def _rendered(name: str) -> list[dict[str, typing.Any]]:
    return [whole(copy.deepcopy(each.inputs)) for each in manifests(PROGRAMS[name]())]


@functools.cache
def everything() -> tuple[int, set[Finding]]:
    """Return what is found in every run of the program."""
    files = {f"{name}.yaml": yaml.dump_all(_rendered(name), Dumper=yaml.CSafeDumper) for name in PROGRAMS}
    files |= {f"{file}.json": json.dumps(as_template(documents(file))) for file in STACK_FILES}
    return scanned(files)


def excused(finding: Finding) -> list[tuple[str, str]]:
    """Return the exceptions that cover ``finding``."""
    return [
        (check, pattern)
        for check, pattern in EXCEPTIONS
        if check == finding.check and fnmatch.fnmatchcase(finding.resource, pattern)
    ]


def test_nothing_is_found_that_has_no_reason() -> None:
    """Whatever the scanner finds in manifests and IAM documents stands above with its reason."""
    passed, found = everything()

    assert passed > 1000
    assert sorted(each for each in found if not excused(each)) == []


def test_no_exception_outlives_its_finding() -> None:
    """An exception that covers nothing any more is taken away."""
    used = {key for each in everything()[1] for key in excused(each)}

    assert EXCEPTIONS.keys() - used == set()


CARELESS: typing.Final[dict[str, dict[str, object]]] = {
    "CKV_K8S_16": {"privileged": True},
    "CKV_K8S_20": {"allowPrivilegeEscalation": True},
    "CKV_K8S_37": {"capabilities": {"add": ["SYS_ADMIN"]}},
    "CKV_K8S_22": {"readOnlyRootFilesystem": False},
}
"""What a container may not say, by the check that finds it."""


def test_a_careless_generator_is_found() -> None:
    """The scan fails on a load generator that may do more than it needs."""
    ours = next(each for each in _rendered("one-each") if (each["kind"], each["metadata"]["name"]) == OUR_PODS)
    spoilt = []
    for number, words in enumerate(CARELESS.values()):
        pods = copy.deepcopy(ours)
        pods["metadata"]["name"] += f"-{number}"
        pods["spec"]["template"]["spec"]["containers"][0]["securityContext"] |= words
        spoilt.append(pods)

    _, found = scanned({"spoilt.yaml": yaml.safe_dump_all(spoilt)})

    assert CARELESS.keys() <= {each.check for each in found if not excused(each)}


def test_a_careless_document_is_found() -> None:
    """The scan fails on a role that may do everything."""
    wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

    _, found = scanned({"spoiled.json": json.dumps(as_template({"Policy wide": wide}))})

    assert {each for each in found if not excused(each)}


@pytest.mark.parametrize("file", STACK_FILES)
def test_no_secret_goes_into_the_state(file: str, tmp_path: pathlib.Path) -> None:
    """Nothing that the program hands to the engine, or puts out, is a key, a password or a token.

    The engine writes all of it into its state, code bundle and settings included.
    """
    recording = recorded(file)
    for number, each in enumerate(recording.resources):
        (tmp_path / f"{number}.json").write_text(json.dumps({"inputs": each.inputs}, indent=1), encoding="utf-8")
    (tmp_path / "outputs.json").write_text(json.dumps(recording.outputs, indent=1), encoding="utf-8")

    assert secrets(tmp_path) == set()


@pytest.mark.slow
def test_no_secret_is_in_the_repository(tmp_path: pathlib.Path) -> None:
    """No file that git tracks holds a key, a password or a token. Slow: the scanner reads every file."""
    git = shutil.which("git")
    assert git is not None
    subprocess.run([git, "archive", "--output", tmp_path / "all.tar", "HEAD"], cwd=ROOT, check=True)
    with tarfile.open(tmp_path / "all.tar") as archive:
        archive.extractall(tmp_path / "all", filter="data")

    assert {file for file, _ in secrets(tmp_path / "all")} == LOOKALIKES.keys()


def test_a_planted_secret_is_found(tmp_path: pathlib.Path) -> None:
    """The two tests above fail on a key in a value, and on one in code."""
    key = "AKIA" + "Z7VRSQ5TJN2XMPLQ"
    planted = hashlib.sha256(b"planted").digest()
    secret = base64.b64encode(planted)[:40].decode()
    (tmp_path / "0.json").write_text(json.dumps({"inputs": {"user_data": f"export KEY={key}"}}), encoding="utf-8")
    (tmp_path / "code.py").write_text(f'aws_secret_access_key = "{secret}"\n', encoding="utf-8")

    assert {file for file, _ in secrets(tmp_path)} == {"0.json", "code.py"}
