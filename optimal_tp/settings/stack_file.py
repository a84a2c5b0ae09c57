"""The sections of a stack file that describe an experiment in a cluster: models, servers, load generator."""

import dataclasses
import math
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.hardware import LOGICAL_CORES_PER_CHIP
from optimal_tp.facts.sizes import Sizes, known_sizes
from optimal_tp.settings.models import parse_models
from optimal_tp.settings.parser import parse
from optimal_tp.settings.prices import HourPrice
from optimal_tp.settings.spend import LoadTestSettings, Serving
from optimal_tp.settings.workload import Price, WorkloadSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The three sections of a stack file that describe the experiment."""

    models: tuple[WorkloadSettings, ...]
    """One experiment per model, in the order in which they are measured."""
    serving: Serving
    loadtest: LoadTestSettings
    sizes: typing.Mapping[str, Sizes] = dataclasses.field(default_factory=dict)
    """The sizes that were read, by the model's name."""

    @property
    def measuring_seconds(self) -> float:
        """The sum of all models' budgets, plus the wait for a common start if there are several load generators."""
        waiting = self.loadtest.start_after_seconds if self.loadtest.pods > 1 else 0
        return waiting + sum(each.decision.budget_seconds for each in self.models)

    def path(self, index: int) -> str:
        """Return where the file has the experiment at ``index``."""
        return "workloads" if len(self.models) == 1 else f"workloads.models[{index}]"

    def slug(self, of: WorkloadSettings) -> str:
        """Return the model's slug, which tells its servers from those of others; empty for one model alone."""
        return "" if len(self.models) == 1 else of.model.slug

    def equal_cores(self, of: WorkloadSettings) -> int:
        """Return the logical cores of each degree's servers together, in the layout ``equal-cores``."""
        chips = math.ceil(max(of.degrees) / LOGICAL_CORES_PER_CHIP)
        return self.serving.equal_cores or chips * LOGICAL_CORES_PER_CHIP

    def priced(self, price: HourPrice, *, billed_cores: int) -> "ClusterSettings":
        """Return a copy with the price of a node, which has ``billed_cores`` logical cores, for the report."""
        of_units = Price(**price.model_dump(), billed_cores=billed_cores)
        priced = tuple(each.model_copy(update={"price": of_units}) for each in self.models)
        return dataclasses.replace(self, models=priced)

    def known_sizes(self, of: WorkloadSettings) -> Sizes | None:
        """Return the model's sizes if they are known by a name, its own or that of ``serving.shape_as``."""
        return known_sizes(self.serving.shape_as or of.model.name)

    def sizes_of(self, of: WorkloadSettings) -> Sizes:
        """Return the model's sizes. Raises KeyError for a model whose sizes were neither known nor read."""
        found = self.sizes.get(of.model.name) or self.known_sizes(of)
        if found is None:
            raise KeyError(f"the sizes of {of.model.name}; plan.model_sizes.with_sizes reads them")
        return found

    def source(self, of: WorkloadSettings) -> str:
        """Return where the model comes from: in a bucket each model of a sweep has a folder called by its slug."""
        source, slug = self.serving.model_source, self.slug(of)
        return f"{source.rstrip('/')}/{slug}" if slug and source.startswith("s3://") else source


def parse_cluster(sections: typing.Mapping[str, object], *, file: str) -> ClusterSettings:
    """Return the sections ``workloads``, ``serving`` and ``loadtest`` of ``file``; one that is absent has defaults.

    Raises SettingsError with every bad key of all three, then with every pair of keys that contradict each other.
    """
    parsed: dict[str, typing.Any] = {}
    problems: list[Problem] = []
    parsers: dict[str, typing.Callable[[object], object]] = {
        "models": lambda data: parse_models(data, file=file),
        "serving": lambda data: parse(Serving, data, where="serving", file=file),
        "loadtest": lambda data: parse_loadtest(data, file=file),
    }
    for name, parser in parsers.items():
        data = sections.get("workloads" if name == "models" else name)
        try:
            parsed[name] = parser({} if data is None else data)
        except SettingsError as error:
            problems.extend(error.problems)
    if problems:
        raise SettingsError(problems)
    settings = ClusterSettings(**parsed)
    problems = _contradictions(settings, file)
    if problems:
        raise SettingsError(problems)
    return settings


def parse_loadtest(section: object, *, file: str) -> LoadTestSettings:
    """Return the section ``loadtest`` of ``file``; absent, its defaults. Raises SettingsError with every bad key."""
    return parse(LoadTestSettings, {} if section is None else section, where="loadtest", file=file)


def _contradictions(settings: ClusterSettings, file: str) -> list[Problem]:
    problems = [
        problem
        for index, of in enumerate(settings.models)
        for problem in _of_model(settings, of, settings.path(index), file)
    ]
    shape = settings.serving.shape_as
    if shape is not None and len(settings.models) > 1:
        rule = "must be absent with several models: each model has its own sizes"
        problems.append(Problem(path="serving.shape_as", value=shape, rule=rule, file=file))
    if shape is not None and settings.serving.config_file is not None:
        rule = f"must be absent beside serving.config_file ({settings.serving.config_file}), which has the sizes"
        problems.append(Problem(path="serving.shape_as", value=shape, rule=rule, file=file))
    price = settings.models[0].price
    if price is not None:
        rule = "must be absent in a stack file: the price is in infra.neuron.price"
        problems.append(Problem(path="workloads.price.usd_per_hour", value=price.usd_per_hour, rule=rule, file=file))
    bucket = settings.loadtest.results.bucket
    source = settings.serving.model_source
    if bucket is not None and source.startswith("s3://") and source.removeprefix("s3://").split("/")[0] == bucket:
        rule = f"must be another bucket than that of serving.model_source ({source})"
        problems.append(Problem(path="loadtest.results.bucket", value=bucket, rule=rule, file=file))
    return problems


def _of_model(settings: ClusterSettings, of: WorkloadSettings, path: str, file: str) -> list[Problem]:
    """Return what one model contradicts; ``path`` is where the file has it."""
    problems = []
    name = of.model.name
    cores = settings.equal_cores(of)
    for index, degree in enumerate(of.degrees):
        if settings.serving.layout == "equal-cores" and cores % degree:
            rule = f"must divide serving.equal_cores ({cores}) with layout equal-cores"
            problems.append(Problem(path=f"{path}.degrees[{index}]", value=degree, rule=rule, file=file))
    longest = of.model.max_model_len_tokens
    problems += [
        Problem(
            path=f"serving.buckets.{kind}_tokens[{index}]",
            value=tokens,
            rule=f"must be below {path}.model.max_model_len_tokens ({longest}), which always has graphs of its own",
            remedy="remove it",
            file=file,
        )
        for kind, lengths in settings.serving.buckets.stated.items()
        for index, tokens in enumerate(lengths)
        if tokens >= longest
    ]
    if settings.serving.model_source.startswith("https://") and "/" not in name:
        rule = "must be owner/model for a model from a hub, for example Qwen/Qwen3-0.6B"
        problems.append(Problem(path=f"{path}.model.name", value=name, rule=rule, file=file))
    return problems
