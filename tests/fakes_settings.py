"""Every setting of a stack file and every output of a stack as tables, from the classes that hold them.

``python -m tests.fakes_settings`` writes ``docs/reference/settings.md``.
"""

import typing

from infra.platform import ClusterOutputs
from optimal_tp.settings.described.fields import SECTIONS, Setting, own_words, settings_of
from tests.fakes_stack_files import ROOT
from workloads.outputs import ExperimentOutputs

PAGE = ROOT / "docs/reference/settings.md"
OUTPUTS: typing.Final = (ClusterOutputs, ExperimentOutputs)
"""Who says what a stack puts out."""
KINDS: typing.Final[dict[object, str]] = {str: "text", float: "number", list[str]: "list of texts"}


def outputs() -> dict[str, tuple[object, str]]:
    """Return (type once it is known, meaning) of every stack output, by name."""
    found = {}
    for holder in OUTPUTS:
        said = own_words(holder)
        for name, hint in holder.__annotations__.items():
            found[name] = (typing.get_args(hint)[0], said.get(name, ""))
    return found


def _row(each: Setting) -> str:
    anchor = f'<a id="{each.key.replace("[]", "")}"></a>'
    default = each.default if each.default in {"", "required", "absent"} else f"`{each.default}`"
    cells = (f"{anchor}`{each.key}`", each.type, each.range, default, each.meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _snippet(name: str, found: list[Setting]) -> list[str]:
    """Return the section with what it requires and its first defaults, as a stack file has it."""
    lines = ["config:", f"  optimal-tp:{name}:"]
    own = [
        each for each in found if each.key.count(".") == 1 and not each.is_section and each.type != "list of sections"
    ]
    shown = [each for each in own if each.default == "required"] or [each for each in own if each.default != "absent"]
    return lines + [
        f"    {each.key.partition('.')[2]}: {'...' if each.default == 'required' else each.default}"
        for each in shown[:4]
    ]


def page() -> str:
    """Return the whole page."""
    lines = ["# Settings and outputs", ""]
    lines += ["Written by `python -m tests.fakes_settings` from the classes that hold them; a test holds it fresh."]
    lines += ["Sections stand below `optimal-tp:`. An unknown key is an error, and all bad keys are named at once."]
    lines += [
        "`optimal-tp settings explain KEY` prints one key with a snippet, `optimal-tp settings check` parses a file.",
        "",
    ]
    for name, model in SECTIONS.items():
        lines += [f"## `{name}`", ""]
        found = list(settings_of(model, name))
        lines += ["```yaml", "\n".join(_snippet(name, found)), "```", ""]
        lines += ["| key | type | range | default | meaning |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(each) for each in found] + [""]
    lines += ["## What the stack puts out", "", "By name, with `pulumi stack output`:", ""]
    lines += ["| output | type | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {KINDS[type_]} | {meaning} |" for name, (type_, meaning) in outputs().items()]
    lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
