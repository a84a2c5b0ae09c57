"""A client's access to servers: headers, a key, trusted certificates. None of it is ever written anywhere."""

import argparse
import collections.abc
import dataclasses
import functools
import os
import pathlib
import ssl
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.loadgen.calls import Server
from optimal_tp.loadgen.transport import TcpTransport


@dataclasses.dataclass(frozen=True, kw_only=True)
class Access:
    """The headers that every request of a client carries, and the certificates that it trusts."""

    headers: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)
    ca_file: pathlib.Path | None = None
    """PEM file of certificates to trust in place of the system's."""

    @functools.cached_property
    def trust(self) -> ssl.SSLContext | None:
        """The trusted certificates; None: the system's."""
        return None if self.ca_file is None else ssl.create_default_context(cafile=self.ca_file)

    def server(self, url: str, *, timeout_seconds: float = 10) -> Server:
        """Return the server at ``url``, to ask single questions."""
        return Server(
            url=url, headers=self.headers, timeout_seconds=timeout_seconds, transport=TcpTransport(self.trust)
        )


OPEN: typing.Final = Access()
"""No key, and the system's certificates."""
OPTIONS: typing.Final = ("header", "key_variable", "key_file", "ca_file")
"""Names of the options below."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add(
        "--header", action="append", default=[], metavar="NAME:VALUE", help="a header of every request; may be repeated"
    )
    add("--key-variable", metavar="NAME", help="environment variable with the servers' key, sent as a bearer token")
    add("--key-file", type=pathlib.Path, metavar="FILE", help="file with the servers' key, sent as a bearer token")
    add("--ca-file", type=pathlib.Path, metavar="FILE", help="certificates to trust in place of the system's")


def access_of(
    arguments: argparse.Namespace,
    problems: list[Problem],
    environment: collections.abc.Mapping[str, str] = os.environ,
) -> Access:
    """Return the access in ``arguments``; add every fault to ``problems``, whose sentences never contain a secret."""
    headers = [_header(line, problems) for line in arguments.header]
    key = _key(arguments, environment, problems)
    if key is not None:
        headers.append(("Authorization", f"Bearer {key}"))
    access = Access(headers=tuple(headers), ca_file=arguments.ca_file)
    try:
        access.trust  # noqa: B018 - reads the file
    except OSError as error:
        rule = f"must be a PEM file of certificates ({error.strerror or error})"
        problems.append(Problem(path="--ca-file", value=str(arguments.ca_file), rule=rule, remedy="name another file"))
    return access


def checked(arguments: argparse.Namespace) -> Access:
    """Return the access in ``arguments``. Raises SettingsError with every fault."""
    problems: list[Problem] = []
    access = access_of(arguments, problems)
    if problems:
        raise SettingsError(problems)
    return access


def _header(line: str, problems: list[Problem]) -> tuple[str, str]:
    name, colon, value = (part.strip() for part in line.partition(":"))
    if not colon or not name or len(name.split()) > 1 or "\n" in line or "\r" in line:
        rule = "must be a name, a colon and a value on one line"
        # Without a colon any part of the line may be the key.
        said = f"{name}: ..." if colon else "a line without a colon"
        problems.append(Problem(path="--header", value=said, rule=rule, remedy="write it as 'Name: value'"))
    return name, value


def _key(
    arguments: argparse.Namespace, environment: collections.abc.Mapping[str, str], problems: list[Problem]
) -> str | None:
    name, path = arguments.key_variable, arguments.key_file
    if name is not None and path is not None:
        rule = "must not go with --key-variable: the key has one source"
        problems.append(Problem(path="--key-file", value=str(path), rule=rule, remedy=""))
        return None
    if name is not None:
        key = environment.get(name, "").strip()
        if not key:
            rule = "must name an environment variable that holds the key"
            problems.append(Problem(path="--key-variable", value=name, rule=rule, remedy=f"export {name}"))
        return _one_line("--key-variable", name, key, problems)
    if path is None:
        return None
    try:
        key = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        rule = f"must name a readable file that holds the key ({said})"
        problems.append(Problem(path="--key-file", value=str(path), rule=rule, remedy="name another file"))
        return None
    return _one_line("--key-file", str(path), key, problems)


def _one_line(option: str, where: str, key: str, problems: list[Problem]) -> str | None:
    if len(key.split()) > 1:
        rule = "must hold the key: one word on one line"
        problems.append(Problem(path=option, value=where, rule=rule, remedy="correct its content"))
        return None
    return key or None
