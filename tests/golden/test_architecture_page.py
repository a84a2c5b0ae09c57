"""docs/architecture.md shows the structure of today, and has a paragraph for each room of it."""

from tests.fakes_rooms import PAGE, components, described, drawn, rooms


def test_the_picture_is_fresh() -> None:
    """The picture in the repository is the one that imports and resources draw."""
    assert PAGE.read_text(encoding="utf-8") == drawn(), "run: python -m tests.fakes_rooms"


def test_every_room_has_its_paragraph() -> None:
    """Every package of the program is explained, and nothing that is not there."""
    packages = {room for pair in rooms() for room in pair}

    assert described() == packages | {"__main__.py", "policy"}


def test_the_picture_sees_what_is_known() -> None:
    """The two graphs hold an import and a need that nobody would take away."""
    assert ("workloads.report", "workloads") in rooms()
    assert ("VllmServer", "CompiledArtifacts") in components()
    assert ("infra.preflight", "workloads") not in rooms()
