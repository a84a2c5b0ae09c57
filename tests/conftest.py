"""Tiers by folder: the fast one needs no marker, the others say what makes them slower."""

import collections.abc
import gc
import ipaddress
import os
import pathlib
import shutil
import socket
import typing

import pytest

TIERS = {
    "program": "program",
    "components": "program",
    "golden": "program",
    "properties": "program",
    "rules": "program",
    "whole": "program",
    "measurement": "measurement",
    "engines": "engines",
}
"""Folder below tests/ to marker."""
MEMORY = pathlib.Path("/dev/shm")  # noqa: S108 - pytest makes folders of its own there
ROOM_BYTES = 1 << 30


def pytest_configure(config: pytest.Config) -> None:
    """Keep the fast tests' files in memory, where the machine has room for them: a disk takes as long as the tests."""
    is_fast = "not measurement" in config.option.markexpr and "not engines" in config.option.markexpr
    if is_fast and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture(autouse=True)
def _no_pulumi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands read the stack file: a Pulumi of the machine's own knows nothing of a test's stack."""
    monkeypatch.setattr("optimal_tp.settings.stack_config.COMMAND", "pulumi-of-no-machine")


@pytest.fixture(autouse=True)
def _no_names_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse at once to look up a name of another machine: a resolver that nobody answers holds a test for seconds."""
    look_up = socket.getaddrinfo

    def here_only(host: object, *args: typing.Any, **options: typing.Any) -> typing.Any:
        if host in (None, "", "localhost") or _is_address(str(host)):
            return look_up(host, *args, **options)  # type: ignore[arg-type]  # as it was called
        raise socket.gaierror(socket.EAI_NONAME, f"a test looked up {host!r}: tests have no network")

    monkeypatch.setattr(socket, "getaddrinfo", here_only)


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> collections.abc.Generator[None, object, object]:
    """Import every test without looking for garbage, and never look for it among what was imported."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: typing.Any) -> object:
    """Keep the tests of one file on one worker, and those of the rules: what they share is made once."""
    if config.option.dist != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - the hook is called where there is xdist

    found = LoadScopeScheduling(config, log)
    found._split_scope = _unit_of_work
    return typing.cast("object", found)


def _unit_of_work(test: str) -> str:
    file = test.partition("::")[0]
    return "tests/rules" if file.startswith("tests/rules/") else file


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """Leave a tier that the run deselects as a whole unread: its imports take as long as the fast tests."""
    is_tier = collection_path.parent == pathlib.Path(__file__).parent and collection_path.name in TIERS
    is_left_out = is_tier and f"not {TIERS[collection_path.name]}" in config.option.markexpr
    return True if is_left_out else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what builds the whole program, and what opens sockets or starts processes."""
    root = pathlib.Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(root).parts[0]
        if folder in TIERS:
            item.add_marker(TIERS[folder])
