"""Preflight as people run it: what it refuses, what it prints, what it asks, with which status."""

import datetime as dt
import json
import pathlib
import re
import typing

import botocore.exceptions
import pytest
import yaml

from optimal_tp.account.questions import PREFLIGHT, Unknown
from optimal_tp.cli import preflight as command
from tests.fakes_botocore import Account, Planned, client_of
from tests.fakes_command import asked
from tests.fakes_ready import NOW, OWNER, STACKS, preflight, ready, stack
from tests.fakes_stack_files import ROOT, stack_config

ACTIONS: typing.Final = {"s3:HeadBucket": "s3:ListBucket"}
"""Operations whose right is called otherwise (service authorization reference)."""
FREE: typing.Final = {"sts:GetCallerIdentity"}
"""Operations that need no right."""
PREFIXES: typing.Final = {"monitoring": "cloudwatch"}
"""Signing names that IAM spells otherwise."""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return an empty folder to run in, without credentials and without a way to find some."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: pathlib.Path, **sections: object) -> None:
    """Write the dev stack's file with sections replaced; None leaves one out."""
    config = stack_config("Pulumi.dev.yaml")
    for name, section in sections.items():
        config[name.replace("__", ":").replace("_", "-")] = section
    kept = {name: section for name, section in config.items() if section is not None}
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": kept}), encoding="utf-8")


def identity(answer: Planned) -> Account:
    """Return an account that answers who asks, and nothing else."""
    return Account({"sts.get_caller_identity": answer}, region="ap-southeast-4")


def told(capsys: pytest.CaptureFixture[str], status: int, make: Account | None = None) -> str:
    """Run preflight on the dev stack; return what it says to standard error."""
    assert asked(command, ["--stack", "dev"], make) == status
    out = capsys.readouterr()
    assert out.out == ""
    return out.err


def test_an_unknown_stack(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stacks that there are stand in the remedy."""
    (folder / "Pulumi.prod.yaml").touch()

    assert told(capsys, 2) == (
        "--stack: must name a readable file (Pulumi.dev.yaml: no such file or directory) (got 'dev'); "
        "name one of: prod\n"
    )


def test_a_file_that_says_too_little(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both keys without which nothing can be asked are named at once."""
    written(folder, optimal_tp__infra=None, aws__region=None)

    assert told(capsys, 2) == (
        "Pulumi.dev.yaml optimal-tp:infra: must be set\nPulumi.dev.yaml aws:region: must be set\n"
    )


def test_a_missing_region_hides_no_other_mistake(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is wrong is said at once."""
    written(folder, optimal_tp__spend={"budget_usd": 0}, aws__region=None)

    region, budget = told(capsys, 2).splitlines()

    assert region == "Pulumi.dev.yaml aws:region: must be set"
    assert budget.startswith("Pulumi.dev.yaml spend.budget_usd: must be above 0")


def test_a_region_that_is_not_the_zones(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program would ask one region about the other's zones."""
    written(folder, aws__region="us-east-2")

    assert told(capsys, 2) == (
        "Pulumi.dev.yaml aws:region: must be the region of infra.zones (ap-southeast-4) (got 'us-east-2')\n"
    )


def test_a_budget_of_nothing(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Preflight refuses what the preview would refuse, before it asks AWS anything."""
    written(folder, optimal_tp__spend={"budget_usd": 0})

    assert told(capsys, 2) == (
        "Pulumi.dev.yaml spend.budget_usd: must be above 0: it is the most that the hours in use may cost, in USD (got "
        "0)\n"
    )


def test_a_budget_below_what_is_expected(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole forecast is made, not only the section read."""
    written(folder, optimal_tp__spend={"budget_usd": 1})
    sentence = (
        r"Pulumi\.dev\.yaml spend\.budget_usd: must cover .*, \d+\.\d\d USD \(.*\) \(got 1\); raise it or lower .*"
    )

    assert re.fullmatch(sentence, told(capsys, 2).strip())


def test_no_credentials(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Botocore itself looks everywhere and finds none."""
    written(folder)

    assert told(capsys, 5) == (
        "there are no AWS credentials; run `aws configure` or `aws sso login`, or set AWS_PROFILE\n"
    )


def test_a_profile_that_is_not_there(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt profile ends before any call."""
    written(folder)
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    assert told(capsys, 5) == (
        "cannot connect to AWS: The config profile (nobody) could not be found; choose another AWS_PROFILE\n"
    )


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "RequestTimeTooSkewed",
            "AWS rejects the signature (RequestTimeTooSkewed); set this machine's clock or renew the credentials\n",
        ),
        (
            "SignatureDoesNotMatch",
            "AWS rejects the signature (SignatureDoesNotMatch); set this machine's clock or renew the credentials\n",
        ),
        (
            "RequestExpired",
            "AWS rejects the signature (RequestExpired); set this machine's clock or renew the credentials\n",
        ),
        (
            "ExpiredToken",
            "the AWS credentials have expired (ExpiredToken); renew them, for example with `aws sso login`\n",
        ),
        (
            "InvalidClientTokenId",
            (
                "AWS does not know these credentials in ap-southeast-4 (InvalidClientTokenId); renew them, or enable "
                "the region for the account if it is opt-in\n"
            ),
        ),
        (
            "AccessDenied",
            "AWS did not identify the caller in ap-southeast-4 (AccessDenied); check the credentials\n",
        ),
    ],
)
def test_who_is_not_let_in(folder: pathlib.Path, capsys: pytest.CaptureFixture[str], code: str, sentence: str) -> None:
    """A wrong clock, credentials that expired, and a region that is not enabled each have their sentence."""
    written(folder)

    assert told(capsys, 5, identity(code)) == sentence


def test_no_network(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where AWS cannot be reached there is no table of unknowns."""
    written(folder)

    def unreachable(_: object) -> typing.NoReturn:
        raise botocore.exceptions.EndpointConnectionError(endpoint_url="https://sts.ap-southeast-4.amazonaws.com")

    assert told(capsys, 5, identity(unreachable)) == (
        "cannot connect to AWS in ap-southeast-4 (EndpointConnectionError); check credentials, network and region\n"
    )


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command see a fixed time, registries that nobody reaches, and no `aws` command."""

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Clock":
            return typing.cast("Clock", NOW.astimezone(tz))

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("optimal_tp.cli.preflight.dt.datetime", Clock)
    monkeypatch.setattr("optimal_tp.cli.preflight.RegistryClient", lambda: lambda _: Unknown(reason="no network"))
    monkeypatch.setattr("optimal_tp.cli.preflight.address", lambda: Unknown(reason="no network"))
    monkeypatch.setattr("optimal_tp.cli.preflight.logins", lambda _host, _environment: ())
    monkeypatch.setattr("shutil.which", lambda _: None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_rows_for_programs(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """``--json`` says whose answers they are and of when, and has every row; the exit status is in it too.

    The stack files are as they are delivered: their examples are wrong.
    """
    of = stack(name)
    status = asked(command, ["--stack", name, "--json"], Account(ready(of), region=of.infra.region))
    told = json.loads(capsys.readouterr().out)
    wrong = {row["check"] for row in told["rows"] if row["state"] == "wrong"}
    examples = {"access to the API server", *(["administrator platform-admin"] if name == "prod" else [])}

    assert status == told["exit_status"] == 1
    assert {key: told[key] for key in ("stack", "account", "region", "asked")} == {
        "stack": name,
        "account": OWNER,
        "region": of.infra.region,
        "asked": "2026-11-24T00:00:00+00:00",
    }
    assert {tuple(row) for row in told["rows"]} == {("check", "state", "found", "required", "remedy")}
    assert wrong == {"reservation cr-0123456789abcdef0", "aws command", *examples}
    assert {row["state"] for row in told["rows"] if row["check"].startswith(("image:", "chart:"))} == {"unknown"}


@pytest.mark.usefixtures("offline")
def test_each_check_is_a_block(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrong one first, folded at 80 columns and never cut, and the counts last."""
    monkeypatch.setenv("COLUMNS", "80")
    of = stack("dev")
    plan = {**ready(of), "service-quotas.get_service_quota": {"Quota": {"Value": 0.0}}}
    assert asked(command, ["--stack", "dev"], Account(plan, region=of.infra.region)) == 1
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("wrong   room for VPCs")

    assert lines[0].startswith("wrong ")
    assert lines[first + 1 : first + 3] == ["        found: quota 0, in use 0", "        must be: 1 more (L-F678F1CE)"]
    assert " ".join(" ".join(lines[first + 3 : first + 7]).split()).startswith(
        "do: free some of it or request more: aws service-quotas request-service-quota-increase --region "
        "ap-southeast-4 --service-code vpc --quota-code L-F678F1CE --desired-value N"
    )
    assert [
        line for line in lines if len(line) > 80 and len(line.split(": ")[-1].split()) > 1
    ] == []  # one long word is never cut
    assert re.fullmatch(r"\d+ wrong, (\d+ unknown, )?(\d+ warnings?, )?\d+ fine", lines[-1])


def test_the_printed_policy_is_what_a_full_preflight_calls(capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways: each call of all kinds of stack is allowed, and nothing is allowed that none of them calls.

    The calls are taken at botocore, so that the policy is not held against the list that it is made from.
    """
    calls: set[tuple[str, str]] = set()
    for name in STACKS:
        of = stack(name)
        account = Account({**ready(of), **MIRRORED}, region=of.infra.region)
        preflight(stack(name, infra__registries__images=MIRROR.format(of.infra.region)), account)
        account.plan["service-quotas.get_service_quota"] = "NoSuchResourceException"
        account.plan["ec2.describe_capacity_reservations"] = {"CapacityReservations": []}
        preflight(of, account)
        calls |= account.calls
    called = {f"{PREFIXES.get(service, service)}:{operation}" for service, operation in calls} - FREE
    assert asked(command, ["--policy"]) == 0
    policy = json.loads(capsys.readouterr().out)

    assert policy["Version"] == "2012-10-17"
    [statement] = policy["Statement"]
    assert (statement["Effect"], statement["Resource"]) == ("Allow", "*")
    assert {*statement["Action"]} == {ACTIONS.get(each, each) for each in called}


MIRROR = OWNER + ".dkr.ecr.{}.amazonaws.com"
MIRRORED: typing.Final[dict[str, Planned]] = {
    "ecr.describe_images": {"imageDetails": [{"imageDigest": "sha256:1"}]},
    "service-quotas.get_aws_default_service_quota": {"Quota": {"Value": 1000.0}},
}


def test_every_action_of_the_policy_only_reads() -> None:
    """A right to list, describe or get changes nothing."""
    read = re.compile(r"^[a-z0-9-]+:(List|Describe|Get)[A-Za-z]+$")

    assert [each.action for each in PREFLIGHT if each.action is not None and not read.match(each.action)] == []


def test_every_question_is_a_call_that_aws_knows() -> None:
    """Service, operation and the key of the answer are in botocore's model."""
    for question in PREFLIGHT:
        client = client_of(question.service)
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[question.operation])

        assert question.key in model.output_shape.members


def test_the_page_states_the_exit_statuses() -> None:
    """Each status of the table is on the page."""
    page = (ROOT / "docs/reference/preflight.md").read_text(encoding="utf-8")

    assert [f"| {status} |" in page for status in (0, 1, 2, 3, 5)] == [True] * 5
