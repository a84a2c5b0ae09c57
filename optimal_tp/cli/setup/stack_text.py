"""The text of the stack file that init writes."""

import collections.abc
import datetime as dt
import re
import typing

from optimal_tp.fleet.demand import parse_limit
from optimal_tp.settings.workload import Model

_LIMITS: typing.Final = {
    "total_latency_ms": "from send to last token",
    "ttft_ms": "from send to first token",
    "tpot_ms": "for each token after the first",
}
"""Meaning of a limit in a stack file, by its metric."""


def stack_text(answers: collections.abc.Mapping[str, str], kind: str, *, stack: str, schema: str) -> str:
    """Return the stack file with the answers; every other key has its default."""
    zone = answers["zone"]
    region = zone[:-1]
    other = f"{region}{'b' if zone.endswith('a') else 'a'}"
    reserved = answers["reservation"]
    capacity = "[reserved]" if reserved else "[on-demand]"
    limits = "\n".join(_limit_lines(each) for each in answers["limit"].split("\n"))
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return f"""# yaml-language-server: $schema={schema}
# Written by optimal-tp init. Every key, its range and default: optimal-tp settings explain infra
config:
  aws:region: {_plain(region)}
  optimal-tp:infra:
    cluster_name: {_plain(f"optimal-tp-{stack}")}
    # EKS needs two zones; Trainium2 nodes run in neuron.zones.
    zones: [{_plain(zone)}, {_plain(other)}]
    control_plane:
      # Networks that may reach the API server.
      public_access_cidrs: [{_quoted(answers["network"])}]
    neuron:
      instance_type: {kind}
      zones: [{_plain(zone)}]
      capacity_types: {capacity}
      reservation_ids: [{_quoted(reserved) if reserved else ""}]
      price: {{ usd_per_hour: {answers["usd_per_hour"]}, source: "as told to optimal-tp init", date: "{today}" }}
      maximum_nodes: 1
  optimal-tp:workloads:
    # Each server works on {Model().max_num_seqs} request at a time, the default; model.max_num_seqs sets another.
    {_model_line(answers["model"])}
    degrees: [1, 2, 4]
    limits:
{limits}
  optimal-tp:spend:
    # The most, in USD, that the hours in use may cost. The preview refuses an experiment that is expected to cost more,
    # and a guard stops the servers before that. A Capacity Block is paid in full, even if that is more.
    budget_usd: {answers["budget_usd"]}
"""


def _limit_lines(answer: str) -> str:
    """Return the two lines of a limit: what it means, and its key."""
    limit = parse_limit(answer)
    return f"""\
      # {limit.percent:g} % of the requests must take at most {limit.at_most_ms:g} ms, {_LIMITS[limit.metric]}.
      {limit.metric}: {{ percentile: {limit.percent:g}, at_most_ms: {limit.at_most_ms:g} }}"""


def _model_line(answer: str) -> str:
    """Return the model's line; the default model is pinned to the commit that the settings know."""
    name, _, commit = answer.partition("@")
    return f"model: {{ name: {_quoted(name)}, revision: {_quoted(commit or Model().revision)} }}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "").replace('"', "") + '"'


def _plain(text: str) -> str:
    """Return ``text`` for a list or a key: as it is where YAML reads it as text, else quoted."""
    return text if re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", text) else _quoted(text)
