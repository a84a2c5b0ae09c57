"""Fails unless the run in the folder that it is given has a whole report with a word for every degree."""

import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
names = {path.name for path in folder.iterdir()}
missing = {"run.json", "verdict.json", "report.md", "report.html"} - names
if missing or not any(name.startswith("samples") for name in names) or sum(name.endswith(".png") for name in names) < 2:  # noqa: PLR2004
    sys.exit(f"{folder} has no whole report: {', '.join(sorted(names))}")
asked = json.loads((folder / "run.json").read_text(encoding="utf-8"))["settings"]["degrees"]
verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
print(verdict)  # noqa: T201
