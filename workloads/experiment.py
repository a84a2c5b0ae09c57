"""The whole experiment: artifacts, servers, load generator, results and dashboard, in a namespace of their own."""

import collections.abc
import dataclasses

import pulumi
import pulumi_kubernetes as kubernetes

from optimal_tp.facts.versions import PYTHON_IMAGE, ImageAndAmi
from optimal_tp.plan.cost import Forecast, model_lines
from optimal_tp.plan.expectation import lineup_expectations
from optimal_tp.plan.feasibility import DTYPE_BYTES, memory_lines, reach_lines, seat_lines
from optimal_tp.plan.lineup import Lineup, ModelPlan
from optimal_tp.plan.model_sizes import size_lines
from optimal_tp.servers.deployment import GENERATOR
from optimal_tp.servers.neuron_pod import Site
from optimal_tp.servers.vllm import bucket_line
from optimal_tp.settings.stack_file import ClusterSettings
from workloads.artifacts import CompiledArtifacts, CompiledArtifactsArgs
from workloads.bucket import ResultsBucket
from workloads.dashboard import Dashboard, DashboardArgs
from workloads.guard import Guard, GuardArgs
from workloads.loadtest import LoadTest, LoadTestArgs
from workloads.manifests.guard import GUARD
from workloads.manifests.jobs import Fetched
from workloads.manifests.panels import Board
from workloads.namespace import Identity, OwnNodes
from workloads.outputs import ExperimentOutputs
from workloads.serving import VllmServer, VllmServerArgs


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuronCluster:
    """The basis of the experiment: a cluster that can launch Neuron nodes."""

    name: str
    """Name of the dashboard, unique in the account; the alarms' names begin with it."""
    region: str
    identity: Identity
    kubernetes_provider: kubernetes.Provider
    volume_handle: pulumi.Input[str]
    """EFS file system and access point, as ``fs-…::fsap-…``."""
    pair: ImageAndAmi
    image_registry: str
    scheduler: str
    node_pool: str
    pool: pulumi.Resource
    foundation: collections.abc.Sequence[pulumi.Resource]
    hub_token: pulumi.Output[str] | None
    """Secret token of the model hub; None without one."""
    pins: collections.abc.Mapping[str, str]
    """Versions and hardware of the servers: instance type, image and AMI."""

    @property
    def python_image(self) -> str:
        """The image of our own programs."""
        return f"{self.image_registry}/{PYTHON_IMAGE}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuiltExperiment:
    """The created experiment, as far as the stack outputs describe it."""

    settings: ClusterSettings
    plan: Lineup
    money: Forecast
    dashboard: Dashboard
    results: ResultsBucket
    guard: Guard | None
    """The guard that stops the servers at the deadline; None if they keep running."""

    def outputs(self) -> ExperimentOutputs:
        """Return the stack outputs of the experiment."""
        uri = self.results.uri
        kept = self.settings.loadtest.results.on_destroy == "keep"
        after = "stays after destroy: " if kept else "is deleted by destroy with every result; fetch them first: "
        return {
            "plan": list(self.plan.lines()),
            "dashboard_url": self.dashboard.url,
            "results_uri": uri,
            "results_on_destroy": pulumi.Output.concat(after, uri),
            "watch_command": f"optimal-tp watch --stack {pulumi.get_stack()}",
            "fetch_results_command": f"optimal-tp fetch --stack {pulumi.get_stack()}",
            "cost": [*self.money.lines(), *model_lines(self.settings, self.plan, self.money)],
            "usd_per_hour": self.money.cost.now_usd,
            "usd_per_hour_idle": self.money.cost.idle_usd,
            "usd_expected": round(self.money.usd, 2),
            "budget_usd": self.money.spend.budget_usd,
            "receipt_command": f"optimal-tp receipt --stack {pulumi.get_stack()}",
            "servers_stop_at": "never: spend.keep_running" if self.guard is None else self.guard.deadline,
            "measure_again_command": "pulumi config set --path optimal-tp:loadtest.run NEW-NAME && pulumi up",
            "stop_servers_command": f"optimal-tp stop --stack {pulumi.get_stack()}",
            "end_all_spend_command": f"pulumi destroy --stack {pulumi.get_stack()}",
        }


def build(settings: ClusterSettings, plan: Lineup, money: Forecast, ground: NeuronCluster) -> BuiltExperiment:
    """Create the experiment on ``ground`` with the default AWS provider, and describe it at preview."""
    _say(settings, plan, money, ground)
    # Deleting the namespace deletes everything in it, which needs the cluster's controllers.
    in_cluster = pulumi.ResourceOptions(provider=ground.kubernetes_provider, depends_on=ground.foundation)
    namespace = kubernetes.core.v1.Namespace(
        "experiment",
        metadata={"name": settings.serving.namespace, "annotations": money.spend.annotations()},
        opts=in_cluster,
    ).metadata.name
    sites = {model.slug: _site(settings, model, ground) for model in plan.models}
    providers = pulumi.ResourceOptions(providers=[ground.kubernetes_provider])
    own_nodes = OwnNodes(
        "own-nodes",
        namespace=settings.serving.namespace,
        pool=ground.node_pool,
        accounts=[GENERATOR, GUARD],
        opts=providers,
    )
    guard = _guard(_guarded(namespace, settings, plan, money, ground, own_nodes), money, providers)
    before_nodes = [each for each in (ground.pool, guard) if each is not None]  # what removes nodes must exist first
    artifacts = CompiledArtifacts(
        "artifacts",
        CompiledArtifactsArgs(
            namespace=namespace,
            sites=sites,
            plan=plan,
            fetched={model.slug: _fetched(settings, model) for model in plan.models},
            python_image=ground.python_image,
            package_index_url=settings.loadtest.package_index_url,
            hub_token=ground.hub_token,
            volume_handle=ground.volume_handle,
            run=settings.loadtest.run,
            identity=ground.identity,
            foundation=ground.foundation,
            before_nodes=before_nodes,
        ),
        providers,
    )
    servers = _servers(namespace, sites, plan, [*before_nodes, artifacts], providers)
    results = ResultsBucket("results", settings.loadtest.results, ground.identity.tags)
    load_test = LoadTest(
        "loadgen",
        LoadTestArgs(
            namespace=namespace,
            settings=settings,
            plan=plan,
            python_image=ground.python_image,
            region=ground.region,
            identity=ground.identity,
            results=results,
            pins={**ground.pins, **settings.serving.buckets.pins},
            drives=[*artifacts.jobs, *servers],
            own_nodes=own_nodes,
            node_pool=ground.node_pool,
            money=money,
        ),
        providers,
    )
    dashboard = _dashboard(settings, plan, money, ground, load_test)
    return BuiltExperiment(settings=settings, plan=plan, money=money, dashboard=dashboard, results=results, guard=guard)


def _guard(args: GuardArgs, money: Forecast, opts: pulumi.ResourceOptions) -> Guard | None:
    return None if money.spend.keep_running else Guard("guard", args, opts)


def _guarded(
    namespace: pulumi.Input[str],
    settings: ClusterSettings,
    plan: Lineup,
    money: Forecast,
    ground: NeuronCluster,
    own_nodes: OwnNodes,
) -> GuardArgs:
    return GuardArgs(
        namespace=namespace,
        namespace_name=settings.serving.namespace,
        plan=plan,
        node_pool=ground.node_pool,
        own_nodes=own_nodes,
        run=settings.loadtest.run,
        stop_after_seconds=money.stop_after_seconds,
        python_image=ground.python_image,
        after=[ground.pool],
    )


def _say(settings: ClusterSettings, plan: Lineup, money: Forecast, ground: NeuronCluster) -> None:
    """Describe at preview the experiment, its cost, its expected precision, and any doubts."""
    memory = (*size_lines(settings, DTYPE_BYTES), *memory_lines(settings, plan, engine=ground.pair.engine))
    expected, too_short = lineup_expectations(plan, money)
    pair = f"image {ground.pair.image_tag}: {ground.pair.support}"
    buckets = settings.serving.buckets
    if buckets.stated:
        memory += tuple(bucket_line(model.settings.model, ground.pair, buckets) for model in plan.models)
    for line in (*plan.lines(), pair, *memory, *money.lines(), *model_lines(settings, plan, money), *expected):
        pulumi.log.info(line)
    for line in (*reach_lines(settings), *seat_lines(settings), *too_short):
        pulumi.log.warn(line)


def _dashboard(
    settings: ClusterSettings, plan: Lineup, money: Forecast, ground: NeuronCluster, load_test: LoadTest
) -> Dashboard:
    return Dashboard(
        "dashboard",
        DashboardArgs(
            physical_name=ground.name,
            boards=tuple(_board(model) for model in plan.models),
            region=ground.region,
            usd_per_hour=money.cost.neuron_usd,
            alarms=settings.loadtest.alarms,
            tags=ground.identity.tags,
            generator=load_test,
            probes_for_ever=money.spend.keep_running,
        ),
    )


def _site(settings: ClusterSettings, model: ModelPlan, ground: NeuronCluster) -> Site:
    return Site(
        model=model.settings.model,
        serving=settings.serving,
        pair=ground.pair,
        image=ground.pair.image(ground.image_registry),
        scheduler=ground.scheduler,
        node_pool=ground.node_pool,
    )


def _fetched(settings: ClusterSettings, model: ModelPlan) -> Fetched:
    of = model.settings
    return Fetched(model=of.model, source=settings.source(of), shape=settings.sizes_of(of).shape)


def _board(model: ModelPlan) -> Board:
    of = model.settings
    title = of.model.title if model.slug else ""
    return Board(title=title, slug=model.slug, candidates=model.plan.candidates, limits=of.limits)


def _servers(
    namespace: pulumi.Input[str],
    sites: collections.abc.Mapping[str, Site],
    plan: Lineup,
    after: collections.abc.Sequence[pulumi.Resource],
    opts: pulumi.ResourceOptions,
) -> list[VllmServer]:
    return [
        VllmServer(
            server.name.removeprefix("qwen-vllm-"),
            VllmServerArgs(namespace=namespace, site=sites[model.slug], server=server, after=after),
            opts,
        )
        for model in plan.models
        for server in model.plan.servers
    ]
