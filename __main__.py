"""The program: read the stack's sections, build the cluster, then the experiment on it.

Rows 1 to 8 (infra): network, control plane, system nodes, add-ons and file system, Karpenter, Neuron chart, node pool.
Rows 9 to 11 (workloads): compiled artifacts, servers, load generator and dashboard.
"""

import pulumi

from infra import bill, nodes, platform, seats
from infra.settings import parse_infra, require_region
from workloads import experiment
from workloads.artifacts import Identity
from workloads.cluster_settings import parse_cluster
from workloads.cost import HourlyCost, forecast
from workloads.feasibility import feasible_plan
from workloads.spend import parse_spend

file = f"Pulumi.{pulumi.get_stack()}.yaml"
config = pulumi.Config()
infra = parse_infra(config.require_object("infra"), file=file)
sections = {name: config.get_object(name) for name in ("workloads", "serving", "loadtest")}
spend = parse_spend(config.get_object("spend"), file=file)
workloads = parse_cluster(sections, file=file)
require_region(infra, pulumi.Config("aws").require("region"), file=file)
neuron = infra.neuron
workloads = workloads.priced(neuron.price, billed_cores=neuron.hardware.billed_cores)
beside = seats.system_node_vcpus(infra)
plan = feasible_plan(workloads, neuron.hardware, maximum_nodes=neuron.maximum_nodes, file=file, system_vcpus=beside)
cost = HourlyCost(node_usd=neuron.price.usd_per_hour, nodes=plan.nodes, idle_usd=bill.idle_usd_per_hour(infra))
money = forecast(workloads, plan, cost, spend, empty_minutes=neuron.consolidate_after_minutes)
money.keep_within_budget(file)

base = platform.build(infra)
trial = experiment.build(
    workloads,
    plan,
    money,
    experiment.Ground(
        name=base.cluster_name,
        region=base.place.region,
        identity=Identity(
            provider_arn=base.oidc_provider_arn,
            issuer=base.oidc_issuer,
            partition=base.place.partition,
            tags=infra.tags,
        ),
        kubernetes_provider=base.kubernetes_provider,
        volume_handle=pulumi.Output.concat(base.file_system_id, "::", base.access_point_id),
        pair=neuron.image_and_ami,
        image_registry=infra.registries.images,
        scheduler=nodes.SCHEDULER,
        node_pool=nodes.NODE_POOL,
        pool=base.pool,
        foundation=base.foundation,
        pins={"ami": neuron.ami, "instance": neuron.instance_type, "pair": neuron.pair},
    ),
)

for name, value in (base.outputs() | {"prices": bill.price_sentences(infra)} | trial.outputs()).items():
    pulumi.export(name, value)
