"""The structure as one picture: rooms of the code by their imports, and components by what they need.

``python -m tests.fakes_rooms`` draws it anew in ``docs/architecture.md``.
"""

import collections.abc
import re

import grimp

from tests.fakes_graph import HOUSE, edges
from tests.fakes_pulumi import ROOT, recorded

PAGE = ROOT / "docs" / "architecture.md"
MARKS = ("<!-- drawn by python -m tests.fakes_rooms -->\n", "<!-- end of the drawing -->\n")
_STACK = "Pulumi.dev.yaml"


def rooms() -> list[tuple[str, str]]:
    """Return which package imports from which: (importing, imported)."""
    graph = grimp.build_graph("optimal_tp", "infra", "workloads", cache_dir=None)
    packages = {module for module in graph.modules if graph.find_children(module)}

    def room(module: str) -> str:
        while module not in packages:
            module = module.rsplit(".", maxsplit=1)[0]
        return module

    found = {
        (room(module), room(other))
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
    }
    return sorted(pair for pair in found if pair[0] != pair[1])


def components() -> list[tuple[str, str]]:
    """Return which kind of component needs which, directly: (needing, needed)."""
    kinds = {
        each.name: each.type.rsplit(":", maxsplit=1)[-1] for each in recorded(_STACK).resources if _is_ours(each.type)
    }
    found = {(kinds[one], kinds[other]) for one, other in edges(recorded(_STACK)) if one in kinds and other in kinds}
    return sorted(pair for pair in found if pair[0] != pair[1])


def _is_ours(type_: str) -> bool:
    return type_.startswith(HOUSE)


def picture() -> str:
    """Return the picture as the page holds it."""
    lines = ["```mermaid", "graph LR", "  subgraph code [code: imports]"]
    lines += [f"    {_key(one)}[{one}] --> {_key(other)}[{other}]" for one, other in rooms()]
    lines += [
        "    main[__main__.py] --> infra",
        "    main --> workloads",
        "  end",
        "  subgraph made [pulumi up: needs]",
    ]
    lines += [f"    {one} --> {other}" for one, other in components()]
    return "\n".join([*lines, "  end", "```", ""])


def _key(room: str) -> str:
    return room.replace(".", "-")


def drawn() -> str:
    """Return the page with the picture of today."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    return f"{before}{MARKS[0]}{picture()}{MARKS[1]}{rest.partition(MARKS[1])[2]}"


def described() -> collections.abc.Set[str]:
    """Return the rooms that the page has a paragraph for."""
    return set(re.findall(r"^\*\*`([\w./]+)`\*\*", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))


if __name__ == "__main__":
    PAGE.write_text(drawn(), encoding="utf-8")
