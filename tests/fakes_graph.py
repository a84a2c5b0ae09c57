"""The resource graph as a page: drawn from a recorded run, so that it shows what the program does.

``python -m tests.fakes_graph`` writes ``docs/resources.md``.
"""

import collections
import collections.abc

from tests.fakes_pulumi import ROOT, STACK_FILES, Recorded, Recording, recorded

PAGE = ROOT / "docs" / "resources.md"
HOUSE = "optimal-tp:"


def levels(recording: Recording) -> list[list[Recorded]]:
    """Return the resources in the order of creation: each level needs only levels before it.

    Destroy takes the levels in reverse. Components are left out; they exist only in Pulumi's state.
    """
    outlive = recording.must_outlive()
    real = {each.urn: each for each in recording.resources if not each.type.startswith(HOUSE)}
    depth: dict[str, int] = {}
    for urn in sorted(real, key=lambda urn: len(outlive[urn])):
        depth[urn] = 1 + max((depth[other] for other in outlive[urn] & real.keys()), default=-1)
    grouped: list[list[Recorded]] = [[] for _ in range(max(depth.values()) + 1)]
    for urn, level in depth.items():
        grouped[level].append(real[urn])
    return [sorted(group, key=lambda each: each.key) for group in grouped]


def edges(recording: Recording) -> list[tuple[str, str]]:
    """Return which component needs which, directly: (needing, needed), by name; a lone resource is its own."""
    owners = {each.urn: each.name for each in recording.resources if each.type.startswith(HOUSE)}
    owner_of = {each.urn: owners.get(each.urn) or owners.get(each.parent, each.name) for each in recording.resources}
    found = {
        (owner_of[each.urn], owner_of[other])
        for each in recording.resources
        for other in (*each.depends_on, each.provider.rsplit("::", maxsplit=1)[0])
        if other in owner_of and owner_of[each.urn] != owner_of[other]
    }
    return sorted(found)


def page() -> str:
    """Return the whole page."""
    lines = [
        "# Resources, in the order in which they are made",
        "",
        "Written by `python -m tests.fakes_graph` from a recorded run of the program; a test holds it fresh.",
        "",
        "An arrow means *needs*: what it points at is made before and deleted after.",
        "",
    ]
    for file in STACK_FILES:
        lines += _stack(file, recorded(file))
    return "\n".join(lines)


def _stack(file: str, recording: Recording) -> collections.abc.Iterator[str]:
    grouped = levels(recording)
    count = sum(len(group) for group in grouped)
    yield from (f"## {file}", "", f"{count} resources in {len(grouped)} levels.", "", "```mermaid", "graph TD")
    yield from (f"  {needing} --> {needed}" for needing, needed in edges(recording))
    yield from ("```", "", "| made | deleted | resources |", "| --: | --: | --- |")
    for number, group in enumerate(grouped, start=1):
        yield f"| {number} | {len(grouped) - number + 1} | {_cell(group)} |"
    yield ""


def _cell(group: collections.abc.Sequence[Recorded]) -> str:
    kinds: dict[str, list[str]] = collections.defaultdict(list)
    for each in group:
        kinds[each.key.split(" ")[0]].append(f"`{each.name}`")
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in sorted(kinds.items()))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
