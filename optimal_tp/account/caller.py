"""The caller of AWS: how long its credentials last, its address, its registry logins. Nothing here prints a secret."""

import collections.abc
import datetime as dt
import ipaddress
import json
import pathlib
import sys
import typing

import boto3
import botocore.credentials
import botocore.session

from optimal_tp.account.preflight.context import Credentials
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.account.registry import Fetch, fetch

ADDRESS_URL: typing.Final = "https://checkip.amazonaws.com"
"""AWS's own service that answers with the caller's public address, as text."""
_EXPIRATION: typing.Final = "AWS_CREDENTIAL_EXPIRATION"
"""Variable in which `aws configure export-credentials --format env` and other tools put the expiry of the keys."""
_LOGINS: typing.Final = ("sso", "login")
"""Botocore's names of keys that are renewed only while a person's login in a browser lasts."""
_LOGIN_KEYS: typing.Final = ("sso_session", "sso_start_url", "login_session", "aws_session_token")
"""Keys of a profile whose credentials end with a login, or, with a session token in the file, by themselves."""
_OK = 200


def credentials(session: boto3.session.Session, environment: collections.abc.Mapping[str, str]) -> Credentials:
    """Return how long the credentials of ``session`` last, without renewing them."""
    found = session.get_credentials()
    if found is None:
        return Credentials(source="nowhere", end=Unknown(reason="there are no credentials"))
    if found.method == "env" and environment.get(_EXPIRATION):
        return Credentials(source="the environment", end=_moment(environment[_EXPIRATION]))
    if isinstance(found, botocore.credentials.RefreshableCredentials):
        return Credentials(source=found.method, end=_renewal(found.method, session.profile_name))
    if found.token:
        return Credentials(source=found.method, end=Unknown(reason="they are temporary, but their expiry is not known"))
    return Credentials(source=found.method, end="none")


def _renewal(method: str, profile: str) -> typing.Literal["renewed"] | Unknown:
    if method in _LOGINS:
        return Unknown(reason="the login ends by itself")
    if _rests_on_a_login(profile):
        return Unknown(reason="the role is taken with a login or with temporary keys, which end by themselves")
    return "renewed"


def _rests_on_a_login(profile: str) -> bool:
    """Return whether a role of ``profile`` is taken with keys that a person's login gave, or that end by themselves."""
    profiles = botocore.session.Session(profile=profile).full_config.get("profiles", {})
    seen: set[str] = set()
    while profile in profiles and profile not in seen:
        if any(key in profiles[profile] for key in _LOGIN_KEYS):
            return True
        seen.add(profile)
        profile = profiles[profile].get("source_profile", "")
    return False


def _moment(text: str) -> dt.datetime | Unknown:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return Unknown(reason=f"{_EXPIRATION} does not hold a time")
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


def address(ask: Fetch = fetch) -> Answer:
    """Return this machine's IPv4 address as AWS sees it, or why it is not known."""
    try:
        answer = ask("GET", ADDRESS_URL, {})
        if answer.status != _OK:
            return Unknown(reason=f"{ADDRESS_URL} answered {answer.status}")
        return (str(ipaddress.IPv4Address(answer.body.decode().strip())),)
    except OSError as error:
        return Unknown(reason=f"{ADDRESS_URL} cannot be reached ({type(error).__name__})")
    # A malformed answer of a proxy or a sign-on page is no answer either.
    except ValueError:
        return Unknown(reason=f"{ADDRESS_URL} did not answer with an IPv4 address")


def logins(host: str, environment: collections.abc.Mapping[str, str]) -> Answer:
    """Return the files of Docker and Helm that have a login for ``host``. Only the names of keys are read."""
    found = []
    for path in _stores(environment):
        try:
            store = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            return Unknown(reason=f"{path} cannot be read ({type(error).__name__})")
        names = store.get("auths", {}) if isinstance(store, dict) else {}
        if any(name.removeprefix("https://").split("/")[0] == host for name in names):
            found.append(str(path))
    return tuple(found)


def _stores(environment: collections.abc.Mapping[str, str]) -> list[pathlib.Path]:
    """Return where Docker and Helm keep logins (Docker CLI reference, "config.json"; Helm, "helm env")."""
    home = pathlib.Path(environment.get("HOME", pathlib.Path.home()))
    docker = pathlib.Path(environment.get("DOCKER_CONFIG", home / ".docker")) / "config.json"
    plain = home / ("Library/Preferences" if sys.platform == "darwin" else ".config")
    config = pathlib.Path(environment.get("XDG_CONFIG_HOME", plain))
    of_helm = pathlib.Path(environment.get("HELM_CONFIG_HOME", config / "helm"))
    helm = pathlib.Path(environment.get("HELM_REGISTRY_CONFIG", of_helm / "registry" / "config.json"))
    return [docker, helm]
