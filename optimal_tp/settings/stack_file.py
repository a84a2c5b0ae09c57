"""What the stack file may say about the experiment in a cluster, beside the experiment itself."""

import dataclasses
import typing

import pydantic

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.shapes import SHAPES
from optimal_tp.plan.placement import SERVERS, Layout, Placement, Shortage, Wish
from optimal_tp.plan.timetable import timetable
from optimal_tp.settings.models import parse_models
from optimal_tp.settings.parser import Section, broken, parse
from optimal_tp.settings.prices import HourPrice
from optimal_tp.settings.workload import Price, WorkloadSettings

_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_BUCKET = r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$"
_KUBERNETES_OWN = ("default", "kube-system", "kube-public", "kube-node-lease")


class Serving(Section):
    """The servers: where they run, how patient their probes are, where model and compiled artifacts are kept."""

    namespace: str = pydantic.Field(default="optimal-tp", pattern=_DNS_LABEL)
    """Kubernetes namespace of everything that the experiment runs; made by the program."""
    layout: Layout = "one-each"
    """``one-each``: one server per degree; ``equal-cores``: as many servers per degree as fill ``equal_cores``."""
    equal_cores: int | None = pydantic.Field(default=None, ge=1)
    """Logical cores of each degree's servers together, with ``equal-cores``; absent: the largest degree."""
    placement: Placement = "packed"
    """``packed``: servers share nodes; ``isolated``: a node per server."""
    when_nodes_are_few: Shortage = "take-turns"
    """Where limits or reservation hold fewer nodes than all servers need: ``take-turns`` or ``refuse``."""
    model_source: str = pydantic.Field(
        default="https://huggingface.co", pattern=r"^(https://|s3://[a-z0-9.-]{3,63}/?).*$"
    )
    """Where the model comes from: a hub that answers as huggingface.co does, or an S3 prefix with the model's files."""
    shape_as: str | None = None
    """Model whose sizes ``workloads.model`` has, where its own name is not in ``optimal_tp/plan/fit.py``."""
    volume_claim: str = pydantic.Field(default="adhoc-python-packages-deb-pvc", pattern=_DNS_LABEL)
    """Name of the claim on the shared file system that holds model and artifacts; the seed's by default."""
    start_patience_seconds: int = pydantic.Field(default=5100, ge=60, le=21600)
    """How long a server may take to answer, and a compile Job to end; the seed allows 85 minutes."""
    probe_patience_seconds: int = pydantic.Field(default=180, ge=30, le=3600)
    """How long a running server may fail its probes before it is taken out or restarted; the seed allows 3 minutes."""
    stop_patience_seconds: int = pydantic.Field(default=60, ge=1, le=600)
    """From SIGTERM to SIGKILL."""
    shared_memory_gib: int = pydantic.Field(default=4, ge=1, le=64)
    """Size of /dev/shm; it counts as the pod's memory. One process drives all cores, so little is needed."""
    run_as_user: int | None = pydantic.Field(default=None, ge=1)
    """User id of the servers. Absent: the image's own, root, the only one that AWS's images are tried with."""

    @pydantic.field_validator("namespace")
    @classmethod
    def _its_own(cls, namespace: str) -> str:
        if namespace in _KUBERNETES_OWN:
            raise broken("the experiment has a namespace of its own, made and deleted with it")
        return namespace

    @pydantic.field_validator("equal_cores")
    @classmethod
    def _only_with_equal_cores(cls, cores: int | None, info: pydantic.ValidationInfo) -> int | None:
        if cores is not None and info.data.get("layout") != "equal-cores":
            raise broken("it has a meaning only with layout 'equal-cores'")
        return cores

    @pydantic.field_validator("shape_as")
    @classmethod
    def _known_shape(cls, name: str | None) -> str | None:
        if name is not None and name not in SHAPES:
            raise broken(f"it is a model whose sizes are known: {', '.join(SHAPES)}")
        return name


class Results(Section):
    """The bucket of samples, records and verdicts."""

    bucket: str | None = pydantic.Field(default=None, pattern=_BUCKET)
    """Name; absent: one is made up that is free."""
    prefix: str = pydantic.Field(default="runs", pattern=r"^[A-Za-z0-9][A-Za-z0-9/_-]*[A-Za-z0-9]$")
    """Key prefix of all runs; the load generator may touch nothing else."""
    on_destroy: typing.Literal["keep", "delete"] = "keep"
    """``keep`` leaves the bucket to you when the stack is destroyed; ``delete`` removes it with every result."""
    expire_after_days: int | None = pydantic.Field(default=365, ge=1)
    """Results older than this are deleted; absent: never."""


class Alarms(Section):
    """The alarms of the dashboard."""

    topic_arn: str | None = pydantic.Field(default=None, pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:.+$")
    """SNS topic that is told; absent: alarms only change their colour."""
    silent_after_minutes: int = pydantic.Field(default=15, ge=5, le=180)
    """Minutes without any request before the load generator counts as silent."""


class LoadTest(Section):
    """The load generator and what becomes of its results."""

    run: str = pydantic.Field(default="1", pattern=r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$")
    """Name of the experiment. With another one ``pulumi up`` measures anew: servers that were stopped start again, and
    the budget's clock too."""
    image: str | None = pydantic.Field(default=None, pattern=r"^[a-z0-9][^\s]*[:@][^\s]+$")
    """An image with the dependencies, built from the repository's Dockerfile; absent: they are installed at start."""
    package_index_url: str | None = pydantic.Field(default=None, pattern=r"^https://\S+$")
    """Where dependencies are installed from; absent: pip's default. Hashes are checked in either case."""
    cpu_millicores: int = pydantic.Field(default=1000, ge=100)
    """CPU that the load generator asks for. There is no limit: throttling would be lateness of the client."""
    memory_mib: int = pydantic.Field(default=1024, ge=256)
    """Memory of the load generator: request and limit."""
    grace_seconds: int = pydantic.Field(default=120, ge=10, le=600)
    """From SIGTERM to SIGKILL: time to finish requests and to send what is held."""
    pods: int = pydantic.Field(default=1, ge=1, le=64)
    """Load generators. With more than one they share the load as an Indexed Job, by a plan made before the run."""
    start_after_seconds: int = pydantic.Field(default=300, ge=30, le=3600)
    """With several ``pods``: from the Job's start until all begin together; one that is not ready by then ends it."""
    results: Results = Results()
    alarms: Alarms = Alarms()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The three sections of a stack file that describe the experiment."""

    models: tuple[WorkloadSettings, ...]
    """One experiment per model, in the order in which they are measured."""
    serving: Serving
    loadtest: LoadTest

    @property
    def measuring_seconds(self) -> float:
        """The budgets of all models together; several load generators wait for their common start besides."""
        waiting = self.loadtest.start_after_seconds if self.loadtest.pods > 1 else 0
        return waiting + sum(each.decision.budget_seconds for each in self.models)

    def path(self, index: int) -> str:
        """Return where the file has the experiment at ``index``."""
        return "workloads" if len(self.models) == 1 else f"workloads.models[{index}]"

    def slug(self, of: WorkloadSettings) -> str:
        """Return the model's slug, which tells its servers from those of others; empty for one model alone."""
        return "" if len(self.models) == 1 else of.model.slug

    def wish(self, of: WorkloadSettings) -> Wish:
        """Return what is to be placed on nodes."""
        slug = self.slug(of)
        return Wish(
            degrees=of.degrees,
            layout=self.serving.layout,
            placement=self.serving.placement,
            equal_cores=self.serving.equal_cores or max(of.degrees),
            family=f"{SERVERS}-{slug}" if slug else SERVERS,
        )

    def priced(self, price: HourPrice, *, billed_cores: int) -> "ClusterSettings":
        """Return the same with the price of a node, which has ``billed_cores`` logical cores, for the report."""
        of_units = Price(**price.model_dump(), billed_cores=billed_cores)
        priced = tuple(each.model_copy(update={"price": of_units}) for each in self.models)
        return dataclasses.replace(self, models=priced)

    def shape_name(self, of: WorkloadSettings) -> str:
        """Return the key of the model's sizes in ``workloads.fit.SHAPES``."""
        return self.serving.shape_as or of.model.name

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


def parse_loadtest(section: object, *, file: str) -> LoadTest:
    """Return the section ``loadtest`` of ``file``; absent, its defaults. Raises SettingsError with every bad key."""
    return parse(LoadTest, {} if section is None else section, where="loadtest", file=file)


def _unshareable(settings: ClusterSettings, file: str) -> list[Problem]:
    """Return why several load generators cannot share the experiment."""
    pods = settings.loadtest.pods
    if pods == 1:
        return []
    if len(settings.models) > 1:
        rule = "several load generators share the experiment of one model"
        return [Problem(path="loadtest.pods", value=pods, rule=rule, remedy=f"set it to 1 in {file}")]
    try:
        timetable(settings.models[0], settings.models[0].degrees)
    except SettingsError as error:
        return list(error.problems)
    return []


def _contradictions(settings: ClusterSettings, file: str) -> list[Problem]:
    problems = [
        problem
        for index, of in enumerate(settings.models)
        for problem in _of_model(settings, of, settings.path(index), file)
    ]
    remedy = f"edit {file}"
    shape = settings.serving.shape_as
    if shape is not None and len(settings.models) > 1:
        rule = "with several models each has the sizes of its own name"
        problems.append(Problem(path="serving.shape_as", value=shape, rule=rule, remedy=f"remove it from {file}"))
    problems += _unshareable(settings, file)
    price = settings.models[0].price
    if price is not None:
        rule = "on a cluster an hour's price is said once, in infra.neuron.price"
        hint = f"move it there in {file}"
        problems.append(Problem(path="workloads.price.usd_per_hour", value=price.usd_per_hour, rule=rule, remedy=hint))
    bucket = settings.loadtest.results.bucket
    source = settings.serving.model_source
    if bucket is not None and source.startswith("s3://") and source.removeprefix("s3://").split("/")[0] == bucket:
        rule = f"results have a bucket of their own, and serving.model_source ({source}) is in this one"
        problems.append(Problem(path="loadtest.results.bucket", value=bucket, rule=rule, remedy=remedy))
    return problems


def _of_model(settings: ClusterSettings, of: WorkloadSettings, path: str, file: str) -> list[Problem]:
    """Return what one model contradicts; ``path`` is where the file has it."""
    problems = []
    name = of.model.name
    if settings.shape_name(of) not in SHAPES:
        rule = f"the model's sizes are known, to compute its memory before anything is spent: {', '.join(SHAPES)}"
        hint = f"set serving.shape_as in {file} to the model with the same sizes"
        if len(settings.models) > 1:
            hint = f"drop it from {file}, or measure it alone, where serving.shape_as can say whose sizes it has"
        problems.append(Problem(path=f"{path}.model.name", value=name, rule=rule, remedy=hint))
    cores = settings.wish(of).equal_cores
    for index, degree in enumerate(of.degrees):
        if settings.serving.layout == "equal-cores" and cores % degree:
            rule = f"with layout 'equal-cores' every degree divides serving.equal_cores ({cores})"
            problems.append(Problem(path=f"{path}.degrees[{index}]", value=degree, rule=rule, remedy=f"edit {file}"))
    if settings.serving.model_source.startswith("https://") and "/" not in name:
        rule = "a model from a hub is named owner/model"
        problems.append(Problem(path=f"{path}.model.name", value=name, rule=rule, remedy=f"edit {file}"))
    return problems
