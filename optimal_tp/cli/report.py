"""The verdict on a stored run, comparison of two runs, and what the documents quote.

SOURCE [--output FOLDER]       exit 0 settled, 3 inconclusive, 4 void, 2 no run to read;
                                  of a sweep the gravest, 5 where a model was not measured
watch --stack STACK             follows a run in the cluster; exit 0 when it is over
compare A B [--allow KEY]...   exit 0 compared, 2 refused
plan SOURCE --rate R --limit L the fleet that carries a rate within a limit: exit 0 planned,
                                  2 bad input, 3 not settled; docs/fleet.md
closed-forms                   the table in docs/fleet.md
simulate [--experiments N]     the table in docs/verdict.md
schema | measurement           verdict.schema.json and docs/measurement.md
"""

import argparse
import contextlib
import pathlib
import sys
import typing

import boto3
import botocore.exceptions

from bench.rule import EXPERIMENTS, table
from optimal_tp.cli.reference import measurement_page
from optimal_tp.cli.watch import watch
from optimal_tp.errors import OptimalTpError, Problem, SettingsError
from optimal_tp.report.compare import changes, refuse_different, sentences
from optimal_tp.report.conclusion import conclude
from optimal_tp.report.document import schema
from optimal_tp.report.sweep import SweepSource, conclude_sweep, read_sweep, sweep_text
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import Source, read


def main(arguments: typing.Sequence[str]) -> int:
    """Run the command in ``arguments`` and return the exit status."""
    commands = {
        "closed-forms": _closed_forms,
        "compare": _compare,
        "measurement": _measurement,
        "plan": _plan,
        "schema": _schema,
        "simulate": _simulate,
        "watch": watch,
    }
    try:
        if arguments and arguments[0] in commands:
            return commands[arguments[0]](arguments[1:])
        return _report(arguments)
    except OptimalTpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status


def _report(arguments: typing.Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m optimal_tp.cli.report",
        description="The verdict on a stored run, and its report. Others: watch, compare, simulate, schema.",
    )
    parser.add_argument("source", metavar="SOURCE", help="a run's or sweep's folder, or s3://bucket/prefix")
    parser.add_argument("--output", type=pathlib.Path, help="where the report goes; the source's folder if absent")
    options = parser.parse_args(arguments)
    remote = options.source.startswith("s3://")
    sweep = _stored_sweep(options.source)
    if sweep is not None:
        return conclude_sweep(sweep, options.output or _folder(options.source, sweep.sweep.sweep, remote=remote))
    source = _read(options.source)
    return conclude(source, options.output or _folder(options.source, source.record.run, remote=remote))


def _folder(source: str, name: str, *, remote: bool) -> pathlib.Path:
    return pathlib.Path("out") / name if remote else pathlib.Path(source)


def _compare(arguments: typing.Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m optimal_tp.cli.report compare", description="Two runs, B against A."
    )
    parser.add_argument("first", metavar="A")
    parser.add_argument("second", metavar="B")
    parser.add_argument("--allow", metavar="KEY", action="append", default=[], help="a checked key that may differ")
    options = parser.parse_args(arguments)
    first, second = _read(options.first), _read(options.second)
    refuse_different(first.record, second.record, options.allow)
    found = changes(retry(first), retry(second))
    sys.stdout.write("\n".join(sentences(found, (options.first, options.second))) + "\n")
    return 0


def _plan(arguments: typing.Sequence[str]) -> int:
    # The load generator's pod has no numba, and imports the report.
    from optimal_tp.cli import plan  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m optimal_tp.cli.report plan", description="From a run to a fleet.")
    plan.configure(parser)
    options = parser.parse_args(arguments)
    source = _read(options.source)
    remote = options.source.startswith("s3://")
    return plan.run(options, source, options.output or _folder(options.source, source.record.run, remote=remote))


def _closed_forms(arguments: typing.Sequence[str]) -> int:
    from bench import closed_forms  # noqa: PLC0415 - as above

    argparse.ArgumentParser(prog="python -m optimal_tp.cli.report closed-forms").parse_args(arguments)
    sys.stdout.write(closed_forms.table(closed_forms.checks()))
    return 0


def _simulate(arguments: typing.Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m optimal_tp.cli.report simulate", description="Planted truths, judged."
    )
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS, help="simulated experiments per row")
    options = parser.parse_args(arguments)
    sys.stdout.write(table(options.experiments))
    return 0


def _schema(arguments: typing.Sequence[str]) -> int:
    argparse.ArgumentParser(prog="python -m optimal_tp.cli.report schema").parse_args(arguments)
    sys.stdout.write(schema())
    return 0


def _measurement(arguments: typing.Sequence[str]) -> int:
    argparse.ArgumentParser(prog="python -m optimal_tp.cli.report measurement").parse_args(arguments)
    sys.stdout.write(measurement_page())
    return 0


def _read(source: str) -> Source:
    if not source.startswith("s3://"):
        return read(source)
    with _reachable(source):
        return read(source, boto3.client("s3"))


def _stored_sweep(source: str) -> SweepSource | None:
    if not source.startswith("s3://"):
        return None if sweep_text(source) is None else read_sweep(source)
    with _reachable(source):
        s3 = boto3.client("s3")
        return None if sweep_text(source, s3) is None else read_sweep(source, s3)


@contextlib.contextmanager
def _reachable(source: str) -> typing.Iterator[None]:
    """Turn what the bucket's client raises into one sentence."""
    try:
        yield
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        remedy = "check the name, your credentials and AWS_ENDPOINT_URL"
        rule = f"the bucket cannot be read: {error}"
        raise SettingsError([Problem(path="SOURCE", value=source, rule=rule, remedy=remedy)]) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
