"""Tiers by folder: the fast one needs no marker, the others say what makes them slower."""

import pathlib

import pytest

TIERS = {
    "program": "program",
    "components": "program",
    "golden": "program",
    "measurement": "measurement",
    "engines": "engines",
}
"""Folder below tests/ to marker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what builds the whole program, and what opens sockets or starts processes."""
    root = pathlib.Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(root).parts[0]
        if folder in TIERS:
            item.add_marker(TIERS[folder])
