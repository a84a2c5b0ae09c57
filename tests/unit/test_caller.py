"""How long credentials last, from where AWS sees this machine, and which files hold a login."""

import datetime as dt
import json
import pathlib

import boto3
import pytest

from optimal_tp.account.caller import ADDRESS_URL, address, credentials, logins
from optimal_tp.account.preflight.context import Credentials
from optimal_tp.account.questions import Unknown
from optimal_tp.account.registry import Response

HOST = "public.ecr.aws"


@pytest.fixture(autouse=True)
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return a home without AWS's files, and no credentials in the environment."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def keys(monkeypatch: pytest.MonkeyPatch, *, token: bool) -> None:
    """Put keys into the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *(["AWS_SESSION_TOKEN"] if token else [])):
        monkeypatch.setenv(name, "x")


def test_a_users_keys_have_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys without a token are a user's."""
    keys(monkeypatch, token=False)

    assert credentials(boto3.session.Session(), {}) == Credentials(source="env", end="none")


def test_temporary_keys_whose_end_is_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that `aws configure export-credentials` writes."""
    keys(monkeypatch, token=True)
    found = credentials(boto3.session.Session(), {"AWS_CREDENTIAL_EXPIRATION": "2026-11-24T01:00:00+00:00"})

    assert found.end == dt.datetime(2026, 11, 24, 1, tzinfo=dt.UTC)


def test_temporary_keys_whose_end_nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may end within the hour."""
    keys(monkeypatch, token=True)

    assert credentials(boto3.session.Session(), {}).end == Unknown(
        reason="they are temporary, but their expiry is not known"
    )


def test_a_profile_that_takes_a_role_renews_its_keys(home: pathlib.Path) -> None:
    """Nobody is asked to find that out."""
    (home / ".aws").mkdir()
    role = "role_arn = arn:aws:iam::111122223333:role/x\nsource_profile = base\nregion = us-east-2"
    base = "aws_access_key_id = x\naws_secret_access_key = x"
    (home / ".aws" / "config").write_text(f"[profile work]\n{role}\n[profile base]\n{base}\n", encoding="utf-8")
    found = credentials(boto3.session.Session(profile_name="work"), {})

    assert found == Credentials(source="assume-role", end="renewed")


def test_keys_of_a_login_last_no_longer_than_it(home: pathlib.Path) -> None:
    """They are renewed until the login in a browser ends by itself, and nothing says when that is."""
    (home / ".aws").mkdir()
    person = "sso_session = there\nsso_account_id = 111122223333\nsso_role_name = x\nregion = us-east-2"
    there = "sso_start_url = https://there.example.org/start\nsso_region = us-east-2"
    (home / ".aws" / "config").write_text(f"[profile work]\n{person}\n[sso-session there]\n{there}\n", encoding="utf-8")
    found = credentials(boto3.session.Session(profile_name="work"), {})

    assert found == Credentials(source="sso", end=Unknown(reason="the login ends by itself"))


@pytest.mark.parametrize(
    "person",
    [
        "sso_session = there\nsso_account_id = 111122223333\nsso_role_name = x\nregion = us-east-2",
        "aws_access_key_id = x\naws_secret_access_key = x\naws_session_token = x",
    ],
    ids=["a login", "temporary keys"],
)
def test_a_role_lasts_no_longer_than_the_keys_that_take_it(home: pathlib.Path, person: str) -> None:
    """The role itself is renewed, as long as there is somebody to take it again."""
    (home / ".aws").mkdir()
    role = "role_arn = arn:aws:iam::111122223333:role/x\nsource_profile = person\nregion = us-east-2"
    there = "sso_start_url = https://there.example.org/start\nsso_region = us-east-2"
    text = f"[profile work]\n{role}\n[profile person]\n{person}\n[sso-session there]\n{there}\n"
    (home / ".aws" / "config").write_text(text, encoding="utf-8")
    found = credentials(boto3.session.Session(profile_name="work"), {})

    reason = "the role is taken with a login or with temporary keys, which end by themselves"
    assert found == Credentials(source="assume-role", end=Unknown(reason=reason))


def test_no_credentials_at_all() -> None:
    """Their end is unknown."""
    assert credentials(boto3.session.Session(), {}).end == Unknown(reason="there are no credentials")


def test_the_address_is_what_aws_sees() -> None:
    """One line of text."""

    def answer(method: str, url: str, _: dict[str, str]) -> Response:
        assert (method, url) == ("GET", ADDRESS_URL)
        return Response(200, {}, b"198.18.0.7\n")

    assert address(answer) == ("198.18.0.7",)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Response(503, {}, b""), "answered 503"),
        (Response(200, {}, b"<html>sign on</html>"), "did not answer with an IPv4 address"),
        (None, "cannot be reached (ConnectionError)"),
    ],
    ids=["busy", "proxy", "away"],
)
def test_an_address_that_nobody_tells_is_unknown(response: Response | None, reason: str) -> None:
    """A proxy's page is no address."""

    def answer(*_: object) -> Response:
        if response is None:
            raise ConnectionError
        return response

    assert address(answer) == Unknown(reason=f"{ADDRESS_URL} {reason}")


def store(path: pathlib.Path, **content: object) -> None:
    """Write a store of logins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_logins_are_told_by_their_files(home: pathlib.Path) -> None:
    """Of Docker and of Helm, wherever they are told to keep them; a value is never looked at."""
    docker, helm = home / "docker" / "config.json", home / "helm.json"
    store(docker, auths={f"https://{HOST}/v2/": {"auth": "c2VjcmV0"}})
    store(helm, auths={HOST: {}})

    assert logins(
        HOST, {"HOME": str(home), "DOCKER_CONFIG": str(docker.parent), "HELM_REGISTRY_CONFIG": str(helm)}
    ) == (
        str(docker),
        str(helm),
    )


def test_other_logins_and_helpers_are_none(home: pathlib.Path) -> None:
    """A helper fetches a fresh one each time; without a file there is no login."""
    assert logins(HOST, {"HOME": str(home)}) == ()
    store(home / ".docker" / "config.json", auths={"ghcr.io": {}}, credHelpers={HOST: "ecr-login"})

    assert logins(HOST, {"HOME": str(home)}) == ()


def test_a_store_that_cannot_be_read_is_unknown(home: pathlib.Path) -> None:
    """It may hold a login."""
    path = home / ".docker" / "config.json"
    path.parent.mkdir()
    path.write_text("{", encoding="utf-8")

    assert logins(HOST, {"HOME": str(home)}) == Unknown(reason=f"{path} cannot be read (JSONDecodeError)")
