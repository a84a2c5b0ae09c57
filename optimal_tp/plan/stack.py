"""One stack's settings as a whole: both halves parsed, held against each other, planned and priced.

Program and preflight read a stack here, so that what one refuses the other refuses in the same words. The one module
of ``infra`` that knows of ``workloads``: how many nodes, for how long and at what cost is the experiment's to say.
"""

import collections.abc
import dataclasses
import functools
import pathlib

from optimal_tp.account.preflight import capacity_blocks
from optimal_tp.account.stack_outputs import Outputs, by_command, with_outputs
from optimal_tp.errors import OptimalTpError, Problem, SettingsError, or_problems
from optimal_tp.facts import names
from optimal_tp.plan.cost import Forecast, HourlyCost, forecast
from optimal_tp.plan.feasibility import DTYPE_BYTES, feasible_plan, with_batches
from optimal_tp.plan.lineup import Lineup
from optimal_tp.plan.model_sizes import Read, local_file, with_sizes
from optimal_tp.settings import sizing
from optimal_tp.settings.infra import InfraSettings, parse_infra, require_region
from optimal_tp.settings.parser import parse
from optimal_tp.settings.spend import Results, Serving, parse_spend
from optimal_tp.settings.stack_config import StackConfig, loose_config
from optimal_tp.settings.stack_file import ClusterSettings, parse_cluster, parse_loadtest
from optimal_tp.settings.stack_keys import HUB_TOKEN, PROJECT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """What a stack file asks for, with the plan and the money that follow from it."""

    infra: InfraSettings
    workloads: ClusterSettings
    plan: Lineup
    money: Forecast

    @property
    def ending(self) -> str:
        """What ends the names of this stack's nodes, dashboard and alarms; empty on a cluster of its own."""
        return names.ending(self.workloads.serving.namespace, shares=self.infra.existing is not None)

    @property
    def dashboard(self) -> str:
        """Name of the dashboard; the alarms' names begin with it."""
        return f"{self.infra.physical_name}{self.ending}"


def compose(
    sections: collections.abc.Mapping[str, object],
    region: str | None,
    *,
    file: str,
    read: Read = local_file,
    outputs: Outputs = by_command,
    wrong: collections.abc.Sequence[Problem] = (),
) -> Stack:
    """Return the stack of ``sections``, by the names in SECTIONS, whose AWS calls go to ``region``, None if unknown.

    ``read`` gives the config.json of models that are not known by name; by default only from this machine.
    ``outputs`` gives those of the stack that ``infra.existing.stack`` names. ``wrong`` are keys beside the sections
    that nobody reads or that are missing: they are refused together with the bad keys of all sections.
    Raises SettingsError with what is wrong in ``file``, a budget below what is expected included, and CapacityError
    where nodes cannot hold the servers.
    """
    problems = list(wrong)
    infra = or_problems(lambda: parse_infra(with_outputs(sections["infra"], outputs, file=file), file=file), problems)
    spend = or_problems(lambda: parse_spend(sections["spend"], file=file), problems)
    workloads = or_problems(lambda: with_sizes(parse_cluster(sections, file=file), read, file=file), problems)
    if infra is not None and region is not None:
        or_problems(functools.partial(require_region, infra, region, file=file), problems)
    if problems or infra is None or spend is None or workloads is None:
        raise SettingsError(problems)
    _require_short_names(infra, workloads, file)
    neuron = infra.neuron
    workloads = workloads.priced(neuron.price, billed_cores=neuron.hardware.billed_cores)
    engine = neuron.image_and_ami.engine
    workloads = with_batches(workloads, neuron.hardware, engine=engine)
    plan = feasible_plan(
        workloads,
        neuron.hardware,
        maximum_nodes=neuron.maximum_nodes,
        file=file,
        system_vcpus=sizing.system_node_vcpus(infra),
        engine=engine,
    )
    cost = HourlyCost(node_usd=neuron.price.usd_per_hour, nodes=plan.nodes, idle_usd=sizing.idle_usd_per_hour(infra))
    fetched_usd = sum(
        sizing.model_traffic_usd(infra, workloads.source(of), workloads.sizes_of(of).download(DTYPE_BYTES)[0])
        for of in workloads.models
    )
    money = forecast(
        workloads,
        plan,
        cost,
        spend,
        empty_minutes=neuron.consolidate_after_minutes,
        traffic_usd=plan.nodes * sizing.node_traffic_usd(infra) + fetched_usd,
    )
    if "reserved" in neuron.capacity_types:
        money = dataclasses.replace(money, block_hours=capacity_blocks.hours(money.hours))
    money.keep_within_budget(file)
    return Stack(infra=infra, workloads=workloads, plan=plan, money=money)


def _require_short_names(infra: InfraSettings, workloads: ClusterSettings, file: str) -> None:
    namespace, longest = workloads.serving.namespace, names.LONGEST_NAMESPACE
    if infra.existing is not None and len(namespace) > longest:
        rule = f"must have at most {longest} letters on an existing cluster, where it ends the names of nodes"
        raise SettingsError([Problem(path="serving.namespace", value=namespace, rule=rule, file=file)])


Reader = collections.abc.Callable[[str | None, str | None], Read]
"""Makes what reads a model's small files, with a hub's token and an AWS profile."""


def read_stack(
    name: str, folder: pathlib.Path, reader: Reader = lambda _token, _profile: local_file
) -> tuple[Stack, StackConfig]:
    """Return the stack called ``name`` of the project in ``folder``, and its configuration. Raises as ``compose``.

    ``reader`` makes what reads config.json files, with the stack's token for a hub and its AWS profile for buckets.
    """
    config, wrong = loose_config(name, folder, needed=(f"{PROJECT}:infra", "aws:region"))
    token = config.values.get(f"{PROJECT}:{HUB_TOKEN}")
    read = reader(token if isinstance(token, str) else None, config.profile)
    try:
        found = config.values.get("aws:region")
        region = None if found is None else str(found)
        return compose(config.sections, region, file=config.file, read=read, wrong=wrong), config
    except OptimalTpError as error:
        raise config.hidden(error) from None


def namespace_of(config: StackConfig) -> str:
    """Return the experiment's namespace by a stack's ``config``. Raises SettingsError."""
    return parse(Serving, config.sections["serving"] or {}, where="serving", file=config.file).namespace


def results_of(config: StackConfig) -> Results:
    """Return what a stack's ``config`` says of the results bucket. Raises SettingsError."""
    return parse_loadtest(config.sections["loadtest"], file=config.file).results
