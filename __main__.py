"""The program: read the stack's sections, build the cluster, then the experiment on it.

Rows 1 to 8 (infra): network, control plane, system nodes, add-ons and file system, Karpenter, Neuron chart, node pool.
Rows 9 to 11 (workloads): compiled artifacts, servers, load generator and dashboard.
"""

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from infra import platform
from infra.references import enter_project, stack_outputs
from optimal_tp.account.model_files import ModelFiles
from optimal_tp.errors import OptimalTpError
from optimal_tp.facts import names
from optimal_tp.plan.stack import compose
from optimal_tp.settings.described.line_numbers import placed
from optimal_tp.settings.stack_keys import SECTIONS, unknown_keys
from workloads import experiment
from workloads.namespace import Identity

aws, file, folder = pulumi.Config("aws"), f"Pulumi.{pulumi.get_stack()}.yaml", enter_project()
config = pulumi.Config("optimal-tp")  # so called in every project: docs/decisions/0070-a-template-without-a-program.md
sections = {"infra": config.require_object("infra"), **{name: config.get_object(name) for name in SECTIONS[1:]}}
try:
    unknown = unknown_keys({**get_config_env(), **CONFIG.get()}, project=pulumi.get_project(), file=file, folder=folder)
    read = ModelFiles(token=config.get("hub_token"), profile=aws.get("profile"))
    stack = compose(sections, aws.require("region"), file=file, read=read, outputs=stack_outputs, wrong=unknown)
except OptimalTpError as error:
    raise pulumi.RunError(str(placed(error, folder))) from error  # without a traceback
infra, neuron, life_seconds = stack.infra, stack.infra.neuron, stack.money.node_life_seconds
base = platform.build(infra, profile=aws.get("profile"), node_life_seconds=life_seconds, ending=stack.ending)
trial = experiment.build(
    stack.workloads,
    stack.plan,
    stack.money,
    experiment.NeuronCluster(
        name=stack.dashboard,
        region=base.place.region,
        identity=Identity(
            provider_arn=base.oidc_provider_arn,
            issuer=base.oidc_issuer,
            partition=base.place.partition,
            tags=infra.tags,
            boundary=infra.permissions_boundary_arn,
        ),
        kubernetes_provider=base.kubernetes_provider,
        volume_handle=pulumi.Output.concat(base.file_system_id, "::", base.access_point_id),
        pair=neuron.image_and_ami,
        image_registry=infra.registries.images,
        scheduler=names.SCHEDULER,
        node_pool=names.NODE_POOL + stack.ending,
        pool=base.pool,
        foundation=base.foundation,
        hub_token=config.get_secret("hub_token"),
        pins={"ami": neuron.ami, "instance": neuron.instance_type, "pair": neuron.pair},
    ),
)

for name, value in {**base.outputs(), **trial.outputs()}.items():
    pulumi.export(name, value)
