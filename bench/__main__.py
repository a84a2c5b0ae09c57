"""``python -m bench``: the load generator beside its peers, in one run; prints a table with medians and ratios."""

import argparse
import collections
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import typing
import venv

from bench import audits, published
from bench.cases import CASES, Figures
from bench.goals import judged
from bench.tools import ROOT, Ours, Peer, Tool

ENVIRONMENT = ROOT / ".venv-bench"
TUNED = "aiohttp tuned"
"""Reads streams in a way that miscounts a cut event: shown, but no peer to be compared with."""
PEERS = ("locust", "aiohttp loop", TUNED)
_HIGHER_IS_BETTER = ("requests/s", "chunks/s", "per second")

Values = dict[str, dict[str, list[float]]]
"""Row to tool to the values of all repeats."""


def peers_python() -> pathlib.Path:
    """Return the interpreter of the peers' environment, made from bench/requirements.txt if it is not there."""
    python = ENVIRONMENT / "bin" / "python"
    ready = ENVIRONMENT / "ready"
    pins = ROOT / "bench" / "requirements.txt"
    if not ready.exists() or ready.read_text() != pins.read_text():
        print("installing the peers into", ENVIRONMENT.name)
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(pins)]
        subprocess.run(install, check=True)
        ready.write_text(pins.read_text())
    return python


def measured(tools: typing.Sequence[Tool], names: typing.Sequence[str], repeats: int) -> Values:
    """Run the cases ``names``; tools take turns within each repeat, so that drift hits all alike."""
    values: Values = collections.defaultdict(lambda: collections.defaultdict(list))
    for case in CASES:
        if case.name not in names:
            continue
        for repeat in range(repeats if case.repeated else 1):
            for tool in tools:
                if tool.name == TUNED and not case.by_piece:
                    continue
                figures = case.run(tool)
                told = ", ".join("-" if value is None else f"{value:.2f}" for value in figures.values())
                print(f"{case.name} {repeat + 1} {tool.name}: {told} (load {os.getloadavg()[0]:.1f})", flush=True)
                _keep(values, tool.name, figures)
    return values


def _keep(values: Values, tool: str, figures: Figures) -> None:
    for row, value in figures.items():
        values[row][tool] += [] if value is None else [value]


def medians(values: Values) -> dict[str, dict[str, float | None]]:
    """Return the median of each row and tool; None for a tool that has no such figure."""
    return {
        row: {tool: statistics.median(found) if found else None for tool, found in by_tool.items()}
        for row, by_tool in values.items()
    }


def table(values: Values, tools: typing.Sequence[str]) -> str:
    """Return the medians as Markdown, with the ratio of ours to the best peer where more is better."""
    lines = [f"| | {' | '.join(tools)} | ours / best peer |", "| --- |" + " --- |" * (len(tools) + 1)]
    for row, middle in medians(values).items():
        peers = [value for tool, value in middle.items() if tool not in {"ours", TUNED} and value is not None]
        ratio, ours = "", middle.get("ours")
        if ours is not None and peers and any(word in row for word in _HIGHER_IS_BETTER):
            ratio = f"{ours / max(peers):.1f}"
        cells = [_cell(middle.get(tool), values[row].get(tool, [])) for tool in tools]
        lines.append(f"| {row} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def _cell(median: float | None, values: typing.Sequence[float]) -> str:
    if median is None:
        return "-"
    digits = 0 if abs(median) >= 1000 else 1 if abs(median) >= 10 else 2  # noqa: PLR2004 - for reading
    spread = f" ({min(values):,.{digits}f} to {max(values):,.{digits}f})" if len(values) > 1 else ""
    return f"{median:,.{digits}f}{spread}"


def merged(values: Values, file: pathlib.Path | None) -> Values:
    """Return ``values`` beside those that ``file`` kept of earlier parts of the run, and keep all there."""
    if file is None:
        return values
    if file.exists():
        for row, by_tool in json.loads(file.read_text()).items():
            for tool, earlier in by_tool.items():
                values[row][tool] = [*earlier, *values[row][tool]]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values, indent=1))
    return values


def _followed(found: typing.Iterable[audits.Told]) -> list[audits.Told]:
    """Return what was found, with a line on each as it comes."""
    kept = []
    for told in found:
        kept.append(told)
        print(f"audit {len(kept)}: {told.line} (load {os.getloadavg()[0]:.1f})", flush=True)
    return kept


def main() -> int:
    """Measure and print."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="of each case (default %(default)s)")
    parser.add_argument(
        "--only", choices=[*names, "audit", "published"], action="append", help="a case; again for more"
    )
    parser.add_argument("--without-peers", action="store_true", help="our own figures only")
    parser.add_argument("--published", action="store_true", help="vllm bench, inference-perf, aiperf, guidellm as well")
    parser.add_argument("--vllm-python", type=pathlib.Path, default=ROOT / ".venv-vllm" / "bin" / "python")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FILE", help="add to the figures kept there, judge all")
    arguments = parser.parse_args()
    chosen = arguments.only or [*names, "audit", *(["published"] if arguments.published else [])]
    tools: list[Tool] = [Ours()]
    if not arguments.without_peers and any(name in names for name in chosen):
        python = peers_python()
        tools += [Peer(name, python) for name in PEERS]
    values = merged(measured(tools, chosen, arguments.repeats), arguments.keep)
    print(f"\n{os.cpu_count()} cores, Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f}\n")
    if values:
        print(table(values, ["ours", *PEERS]))
        print("\n| goal | | figure |\n| --- | --- | --- |")
        print("\n".join(judged(medians(values), set(PEERS) - {TUNED})), flush=True)
    for line in audits.words(_followed(audits.audits())) if "audit" in chosen else ():
        print(line, flush=True)
    for line in published.compared(arguments.vllm_python) if "published" in chosen else ():
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
