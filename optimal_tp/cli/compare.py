"""Compare two stored runs: what changed from A to B, with its uncertainty.

Exit status: 0 compared, 1 a candidate is worse (with --fail-on-worse), 2 refused, because the runs differ in something
that must be the same.
Example: optimal-tp compare out/before out/after --allow image
"""

import argparse
import dataclasses
import json
import sys

from optimal_tp.cli.sources import stored_run
from optimal_tp.cli.terminal import output
from optimal_tp.errors import Exit
from optimal_tp.report.two_runs import changes, other_commits, refuse_different, sentences
from optimal_tp.results.retrial import retry


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("first", metavar="A", help="the folder of a run, or s3://bucket/prefix")
    parser.add_argument("second", metavar="B", help="the other run")
    parser.add_argument("--allow", metavar="KEY", action="append", default=[], help="a checked key that may differ")
    parser.add_argument("--fail-on-worse", action="store_true", help="end with 1 if a candidate is worse in B")


def main(options: argparse.Namespace) -> int:
    """Print the comparison; return the exit status.

    Raises SettingsError if a run cannot be read or the two must not be compared.
    """
    first, second = stored_run(options.first), stored_run(options.second)
    refuse_different(first.record, second.record, options.allow)
    found = changes(retry(first), retry(second))
    names = (options.first, options.second)
    commits = other_commits(first.record, second.record, names)
    if output.is_json(options):
        told = [{**dataclasses.asdict(each), "candidate": each.candidate.slug} for each in found]
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        if commits is not None:
            sys.stderr.write(f"{commits}\n")
    else:
        lines = [*sentences(found, names), *([] if commits is None else [commits])]
        sys.stdout.write("\n".join(lines) + "\n")
    is_worse = options.fail_on_worse and any(each.word == "worse" for each in found)
    return Exit.WRONG if is_worse else Exit.GOOD
