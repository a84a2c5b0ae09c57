"""The account that is asked is the stack's own: two accounts behind two profiles, as moto plays them."""

import argparse
import collections.abc
import json
import pathlib
import typing

import boto3
import moto
import pytest
import yaml

from optimal_tp.account.model_files import ModelFiles
from optimal_tp.cli import leftovers, preflight
from optimal_tp.cli.stack.results import place_of
from tests.fakes_command import asked
from tests.fakes_pulumi import run_main
from tests.fakes_stack_files import stack_config
from tests.fakes_workloads import changed

DEFAULT, OURS = "123456789012", "222222222222"
PROFILES: typing.Final = f"""\
[default]
aws_access_key_id = x
aws_secret_access_key = x
region = us-east-1

[profile work]
role_arn = arn:aws:iam::{OURS}:role/builder
source_profile = default
region = us-east-1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> collections.abc.Iterator[pathlib.Path]:
    """Run in an empty folder, with both profiles and nothing of AWS in the environment."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(PROFILES, encoding="utf-8")
    with moto.mock_aws():
        yield tmp_path


def written(folder: pathlib.Path, **more: object) -> None:
    """Write the dev stack's file with keys of ``more``: ``aws__profile`` is ``aws:profile``."""
    config = stack_config("Pulumi.dev.yaml") | {key.replace("__", ":"): value for key, value in more.items()}
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")


CASES = pytest.mark.parametrize(
    ("keys", "account"), [({"aws__profile": "work"}, OURS), ({}, DEFAULT)], ids=["named", "the environment's"]
)


@CASES
def test_leftovers_asks_the_stacks_account(
    folder: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    keys: dict[str, str],
    account: str,
) -> None:
    """`nothing that bills` about another account would be worse than no answer."""
    written(folder, **keys)
    monkeypatch.setattr("optimal_tp.cli.leftovers.search", lambda _scope, _ask: ([], []))

    assert asked(leftovers, ["--stack", "dev"]) == 0
    assert capsys.readouterr().out.startswith(f"account {account}, region ap-southeast-4\n")


@CASES
def test_preflight_asks_the_stacks_account(
    folder: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    keys: dict[str, str],
    account: str,
) -> None:
    """Quotas and reservations of another account say nothing of this `up`."""
    written(folder, **keys)
    monkeypatch.setattr("optimal_tp.cli.preflight.checks", lambda _: [])

    assert asked(preflight, ["--stack", "dev", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["account"] == account


def test_results_are_read_in_the_stacks_account(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `watch`, `fetch` and `receipt`."""
    written(folder, aws__profile="work")
    monkeypatch.setattr("optimal_tp.cli.stack.results.outputs_of", lambda _: {"results_uri": "s3://results/runs"})
    place = place_of(argparse.Namespace(stack="dev", results=None))

    assert place.session.client("sts").get_caller_identity()["Account"] == OURS


def test_a_model_in_a_bucket_is_read_in_the_stacks_account() -> None:
    """At preview and in preflight: the bucket may let in nobody else."""
    seen: list[str] = []
    boto3.client("s3").create_bucket(Bucket="models")
    boto3.client("s3").put_object(Bucket="models", Key="mine/config.json", Body=b"{}")
    made: typing.Any = boto3.Session.client

    def client(self: boto3.Session, *words: typing.Any, **options: typing.Any) -> typing.Any:
        seen.append(self.profile_name)
        return made(self, *words, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3.Session, "client", client)

        assert ModelFiles(profile="work")("s3://models/mine/config.json") == b"{}"
    assert seen == ["work"]


def test_the_program_and_preflight_hand_the_profile_on(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To whatever reads the model's config.json."""
    profiles: list[str | None] = []

    class Files:
        """Keeps with which profile it was made, and reads nothing."""

        def __init__(self, *, token: str | None, profile: str | None) -> None:
            assert token is None
            profiles.append(profile)

        def __call__(self, address: str) -> bytes:
            raise FileNotFoundError(address)

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("optimal_tp.account.model_files.ModelFiles", Files)
    monkeypatch.setattr("optimal_tp.cli.preflight.ModelFiles", Files)
    monkeypatch.setattr("optimal_tp.cli.preflight.checks", lambda _: [])
    written(folder, aws__profile="work")
    run_main({**changed("Pulumi.dev.yaml"), "aws:profile": "work"})

    assert asked(preflight, ["--stack", "dev", "--json"]) == 0
    assert profiles == ["work", "work"]
