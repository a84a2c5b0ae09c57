"""Fails unless the run in the folder that it is given has a whole report, with a word for every degree asked for."""

import json
import pathlib
import re
import sys

folder = pathlib.Path(sys.argv[1])
names = {path.name for path in folder.iterdir()}
wanted = {"run.json", "samples-0000.jsonl", "verdict.json", "report.md", "report.html"}
if wanted - names:
    sys.exit(f"{folder} lacks {', '.join(sorted(wanted - names))}")
asked = json.loads((folder / "run.json").read_text(encoding="utf-8"))["settings"]["degrees"]
verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))["verdict"]
words = {item["degree"]: item["word"] for item in verdict["degrees"]}
# A machine so busy that no turn was sound leaves a void run, which has nothing to draw.
drawn = set(re.findall(r"\]\((\w+\.png)\)", (folder / "report.md").read_text(encoding="utf-8")))
if any(item["tokens_per_second_per_core"] is not None for item in verdict["degrees"]):
    drawn.add("load.png")
if drawn - names:
    sys.exit(f"{folder} lacks the pictures {', '.join(sorted(drawn - names))}")
if set(words) != set(asked):
    sys.exit(f"{folder} has a word for the degrees {sorted(words)}; asked for were {asked}")
sys.stdout.write(f"{verdict['outcome']}: {words}\n")
