"""Predict an upper bound for each degree by the roofline of Trainium2, before anything runs or costs money.

Prints a table, the best first. --output writes a file that `optimal-tp report RUN --predicted FILE` compares with a
run; --json prints the same. Every figure is the most that physics allows, so it is optimistic; only the order is a
prediction.
Exit status: 0 predicted, 2 bad settings, or no candidate that could hold the limits, 5 the file cannot be written.
Example: optimal-tp predict Pulumi.dev.yaml
  optimal-tp predict Pulumi.dev.yaml --output roofline.json
"""

import argparse
import math
import os
import pathlib
import sys

import rich.console
import rich.table

from optimal_tp.account.model_files import ModelFiles
from optimal_tp.cli.terminal import output
from optimal_tp.cluster.order import SettingsFile
from optimal_tp.errors import Problem, SettingsError, StorageFailed
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.engines import FORK, Engine
from optimal_tp.facts.hardware import INSTANCE_TYPES, TRAINIUM2, InstanceType, cores_held
from optimal_tp.measurement.estimate import METRIC_WORDS, figure
from optimal_tp.measurement.whole_file import replace_file
from optimal_tp.plan.feasibility import DTYPE_BYTES, misfits, with_batches
from optimal_tp.plan.model_sizes import Read, with_sizes
from optimal_tp.plan.roofline.bounds import bound, requests
from optimal_tp.plan.roofline.prior import asked_lengths, impossible, server_of
from optimal_tp.results.predictors.neutral import encode
from optimal_tp.settings.infra import parse_infra
from optimal_tp.settings.parser import parse, read_yaml
from optimal_tp.settings.stack_config import project_name
from optimal_tp.settings.stack_file import ClusterSettings, parse_cluster
from optimal_tp.settings.stack_keys import PROJECT, SECTIONS, unknown_keys
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.predictors.orders import SAME
from optimal_tp.verdict.predictors.stated import Stated, StatedRow

PREDICTOR = "optimal-tp's roofline"
_OTHERWISE = "trn2.48xlarge"
"""Default if the settings name no nodes: the type that holds every degree; its cores are those of the other type."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("settings", metavar="SETTINGS", help="a stack file (Pulumi.dev.yaml), or the settings file of a run")
    add("--model", metavar="NAME", help="the model to predict, if the settings have several")
    add("--output", type=pathlib.Path, metavar="FILE.json", help="write the predictions for report --predicted")


def main(options: argparse.Namespace, read: Read | None = None) -> int:
    """Show the predictions. ``read`` returns the config.json of a model that is not known by name.

    Raises SettingsError with every fault in the settings, and StorageFailed.
    """
    cluster, kind, engine = _asked(options.settings, read or ModelFiles(token=os.environ.get("HF_TOKEN")))
    of = _model(cluster, options)
    unfit: dict[Candidate, str] = misfits(cluster, of, kind, engine=engine)
    slow = impossible(cluster, of, [each for each in of.candidates if each not in unfit], DTYPE_BYTES)
    left_out = {**unfit, **slow}
    held = {each: cores_held(each.degree, whole_chips=engine.whole_chips) for each in of.candidates}
    rows = [_row(cluster, of, each, held[each], options.settings) for each in of.candidates if each not in left_out]
    for candidate, why in sorted(left_out.items()):
        sys.stderr.write(f"{candidate.name} is left out: {why}\n")
    if not rows:
        rule = "must have a candidate that fits into memory and could hold the limits"
        remedy = "raise the limits, or name other degrees"
        raise SettingsError([Problem(path="SETTINGS", value=options.settings, rule=rule, remedy=remedy)])
    stated = Stated(predictor=PREDICTOR, version=None, file=options.settings, rows=tuple(rows))
    with output.beside_json(options):
        _show(stated, _asked_of(of))
        if options.output is not None:
            _write(options.output, encode(stated))
    if output.is_json(options):
        sys.stdout.write(encode(stated))
    return 0


def _asked(file: str, read: Read) -> tuple[ClusterSettings, InstanceType, Engine]:
    """Return the experiment in ``file``, its nodes, and the engine that serves there."""
    data = read_yaml(pathlib.Path(file), key="SETTINGS", value=file, remedy="name a YAML file")
    config = data.get("config") if isinstance(data, dict) else None
    sections: dict[str, object] = dict.fromkeys(SECTIONS)
    kind, engine = INSTANCE_TYPES[_OTHERWISE], FORK
    if isinstance(data, dict) and ("config" in data or any(str(key).startswith(f"{PROJECT}:") for key in data)):
        config = config if isinstance(config, dict) else {}
        project = project_name(pathlib.Path(file).parent)
        unknown = unknown_keys(config, project=project, file=file, folder="")
        if unknown:
            raise SettingsError(unknown)
        sections = {name: config.get(f"{PROJECT}:{name}") for name in SECTIONS}
        neuron = parse_infra(sections["infra"], file=file).neuron
        kind, engine = neuron.hardware, neuron.image_and_ami.engine
    else:
        sections["workloads"] = parse(SettingsFile, data, where="", file=file).workloads
    cluster = with_sizes(parse_cluster(sections, file=file), read, file=file)
    return with_batches(cluster, kind, engine=engine), kind, engine


def _model(cluster: ClusterSettings, options: argparse.Namespace) -> WorkloadSettings:
    names = [each.model.name for each in cluster.models]
    found = [each for each in cluster.models if options.model in (None, each.model.name, each.model.title)]
    if len(found) != 1:
        rule = f"must be one of the models in {options.settings} ({', '.join(names)})"
        raise SettingsError([Problem(path="--model", value=options.model, rule=rule, remedy="name one")])
    return found[0]


def _row(cluster: ClusterSettings, of: WorkloadSettings, candidate: Candidate, cores: int, file: str) -> StatedRow:
    """Return the prediction of one server, which keeps ``cores`` from others: separate prefill and decode, no queue."""
    lengths, limits = asked_lengths(of), of.limits.asked()
    server = server_of(cluster, of, candidate, DTYPE_BYTES, TRAINIUM2)
    most = bound(server, lengths, limits)
    own = requests(server, lengths)
    context = math.fsum(one.share * one.context_tokens for one in own)
    in_flight = max(1.0, most.sequences)
    rate = most.separate_requests_per_second_per_core * candidate.degree
    prompt_tokens = math.fsum(share * shape.prompt_tokens for shape, share in lengths.items())
    return StatedRow(
        place=file,
        degree=candidate.degree,
        batch=of.model.batch_of(candidate),
        in_flight=_brief(in_flight),
        ttft_ms=_brief(1000 * math.fsum(one.share * one.prefill.seconds for one in own)),
        tpot_ms=_brief(1000 * server.decode_step(in_flight, context).seconds),
        output_tokens_per_second=_brief(rate * most.mean_output_tokens),
        requests_per_second=_brief(rate),
        cores=cores,
        input_tokens=_brief(prompt_tokens),
        output_tokens=_brief(most.mean_output_tokens),
        model=of.model.name,
    )


def _brief(value: float) -> float:
    """Return ``value`` with six digits, enough for a bound."""
    return float(f"{value:.6g}")


_HEADS = (
    "Place",
    "Degree",
    "Batch",
    "Requests/s per core",
    "Output tokens/s per core",
    "First token, ms",
    "Next token, ms",
)


def _asked_of(of: WorkloadSettings) -> str:
    """Return for what the rows hold, as a line: model, mean lengths and limits."""
    lengths = asked_lengths(of).items()
    prompt, answer = (math.fsum(share * shape[place] for shape, share in lengths) for place in (0, 1))
    limits = [
        f"p{limit.percentile:g} of {METRIC_WORDS[metric]} at most {figure(limit.at_most_ms)} ms"
        for metric, limit in of.limits.asked().items()
    ]
    within = f"within {' and '.join(limits)}" if limits else "without limits"
    return f"{of.model.name}, {prompt:,.0f} prompt and {answer:,.0f} output tokens on average, {within}."


def _show(stated: Stated, asked: str) -> None:
    """Print what was ``asked``, the table, and how to read it."""
    console = rich.console.Console(highlight=False)
    table = rich.table.Table(box=None, pad_edge=False)
    for head in _HEADS:
        table.add_column(head, overflow="fold", justify="left" if head == "Degree" else "right")
    for cells in ranking(stated):
        table.add_row(*cells)
    console.print(asked, soft_wrap=True)
    console.print("The most that physics allows:")
    console.print(table)
    source = f"By {TRAINIUM2.source}. Nothing was measured; report --predicted FILE compares it with a run."
    console.print(source, soft_wrap=True)


def _write(path: pathlib.Path, text: str) -> None:
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise StorageFailed(f"{path} was not written: {error.strerror}; name another --output") from error
    sys.stdout.write(f"{path} written; optimal-tp report RUN --predicted {path} compares it with a run\n")


def ranking(stated: Stated) -> list[tuple[str, ...]]:
    """Return a row under ``_HEADS`` per prediction, the most requests per core first; equal ones share a place."""
    rates = {row: row.per_core("requests_per_second") or 0.0 for row in stated.rows}
    ranked = sorted(rates, key=lambda one: rates[one], reverse=True)
    return [
        (
            f"{1 + sum(rate > rates[row] * (1 + SAME) for rate in rates.values())}",
            f"TP{row.degree}",
            f"{row.batch}",
            figure(rates[row]),
            figure(row.per_core("output_tokens_per_second")),
            figure(row.ttft_ms),
            figure(row.tpot_ms),
        )
        for row in ranked
    ]
