"""Jobs that fill the shared volume: one fetches the model, and one per candidate compiles the model for it."""

import collections.abc
import dataclasses
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.shapes import ModelShape
from optimal_tp.plan.lineup import Lineup, ModelPlan
from optimal_tp.plan.placement import PlannedServer
from optimal_tp.servers import neuron_pod
from optimal_tp.servers.vllm import (
    PROOF_TOKENS,
    VOLUME_PATH,
    artifacts_folder,
    cache_of,
    environment,
    expected_files,
    model_folder,
    proof_prompts,
    serve_command,
)
from optimal_tp.settings.spend import Serving
from optimal_tp.settings.workload import Model
from workloads.manifests import python_pods, volumes
from workloads.manifests.bundle import CodeConfigMap

if typing.TYPE_CHECKING:
    from pulumi_kubernetes.batch.v1 import JobSpecArgsDict
    from pulumi_kubernetes.core.v1 import ContainerArgsDict, PodSpecArgsDict, PodTemplateSpecArgsDict
    from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

_FETCH_RETRIES = 3
_COMPILE_RETRIES = 1
"""Only one, because each try holds a paid node, and a model that the compiler refuses once it always refuses."""
_COMPILER_STOP_SECONDS = 90
"""The compile program gives its server a minute to stop."""
_FETCH_STOP_SECONDS = 10
_HUB: typing.Final = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # the program prints lines of its own, which suit a log
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # it calls Hugging Face's hosts even behind a mirror, and keeps chunks in memory
}
"""Variables that the hub's client reads when it is imported."""
RUN = "optimal-tp/run"
"""Annotation of a pod with the experiment's name."""
COMPILING = "optimal_tp.pods.compile"
FETCHING = "optimal_tp.pods.fetch_model"
"""What the Jobs run."""
FETCH = "qwen-vllm-fetch"
"""Name and ``app`` label of the Job that fetches the model; in a sweep each model's slug follows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fetched:
    """The model that one fetch Job writes to the volume."""

    model: Model
    source: str
    """A hub's address, or an S3 prefix with the model's files."""
    shape: ModelShape
    """The plan's assumptions, with which the Job compares the fetched model."""


def compile_name(model: ModelPlan, candidate: Candidate) -> str:
    """Return the name of the Job that compiles for the servers of ``candidate``."""
    return f"{model.plan.of(candidate)[0].name}-compile"


def compile_names(plan: Lineup) -> list[str]:
    """Return the names of the Jobs that hold Neuron cores."""
    return [compile_name(model, each) for model in plan.models for each in model.plan.candidates]


def compile_spec(
    site: neuron_pod.Site, server: PlannedServer, parts: collections.abc.Sequence[CodeConfigMap], *, run: str
) -> "JobSpecArgsDict":
    """Return the Job that compiles for ``server``, with its image, flags, cores and node; our program runs it once.

    ``run``: name of the experiment. A Job that failed or was stopped does not run again; another run has its own Job.
    """
    serving, cache = site.serving, cache_of(site.pair)
    buckets = serving.buckets
    mounts = [
        neuron_pod.shared(serving.volume_claim, read_only=False),
        volumes.code(parts),
        neuron_pod.scratch("shm", "/dev/shm", size_gib=serving.shared_memory_gib, in_memory=True),  # noqa: S108 - glibc's
        neuron_pod.scratch("tmp", "/tmp"),  # noqa: S108 - an emptyDir
    ]
    arguments = [
        *("--folder", f"{VOLUME_PATH}/{artifacts_folder(site.model, site.pair, server.candidate, buckets)}"),
        *("--model", site.model.name),
        *(part for name in expected_files(site.pair, server.degree) for part in ("--expect", name)),
        *(
            part
            for tokens in proof_prompts(site.model, site.pair, buckets)
            for part in ("--prompt-tokens", str(tokens))
        ),
        *("--tokens", str(PROOF_TOKENS)),
        *("--cache", cache.path, "--finished", cache.finished),
        *(("--loads-cache",) if cache.is_loaded else ()),
        *("--patience-seconds", str(serving.start_patience_seconds)),
    ]
    python = {"PYTHONPATH": volumes.CODE_PATH, "PYTHONDONTWRITEBYTECODE": "1"}
    container: ContainerArgsDict = {
        **neuron_pod.container(site, server),
        "command": ["python", "-m", COMPILING, *arguments, "--"],
        "args": list(serve_command(site.model, site.pair, server.candidate, buckets)),
        "env": neuron_pod.variables(
            environment(site.model, site.pair, server.candidate, buckets) | neuron_pod.user_variables(serving) | python
        ),
        "volume_mounts": [mount for _, mount in mounts],
    }
    rest: PodSpecArgsDict = {
        "containers": [container],
        "restart_policy": "Never",
        "volumes": [volume for volume, _ in mounts],
    }
    template = neuron_pod.pod(
        site, server, app=f"{server.name}-compile", stop_seconds=_COMPILER_STOP_SECONDS, rest=rest
    )
    return _suspended(template, run=run, retries=_COMPILE_RETRIES)


def _suspended(template: "PodTemplateSpecArgsDict", *, run: str, retries: int) -> "JobSpecArgsDict":
    """Return a Job that waits, without a pod, until the experiment resumes it."""
    metadata = typing.cast("ObjectMetaArgsDict", template["metadata"])
    annotations = {**typing.cast("dict[str, str]", metadata.get("annotations", {})), RUN: run}
    named: PodTemplateSpecArgsDict = {**template, "metadata": {**metadata, "annotations": annotations}}
    return {
        "backoff_limit": retries,
        "completions": 1,
        "parallelism": 1,
        "suspend": True,
        "template": named,
    }


def fetch_spec(  # noqa: PLR0913 - each is named at the call
    fetched: Fetched,
    serving: Serving,
    runtime: python_pods.Runtime,
    *,
    app: str,
    service_account: str,
    run: str,
    token_secret: str | None = None,
) -> "JobSpecArgsDict":
    """Return the Job that fetches a model, on a system node: it needs no core. ``run`` as in ``compile_spec``.

    ``token_secret``: name of the Secret with the hub's token; None: no token.
    """
    model = fetched.model
    arguments = [
        *("--source", fetched.source),
        *("--model", model.name),
        *("--revision", model.revision),
        *("--shape", fetched.shape.as_json()),
        *("--folder", f"{VOLUME_PATH}/{model_folder(model)}"),
        *(() if token_secret is None else ("--token-file", volumes.TOKEN_PATH)),
    ]
    mounts = [neuron_pod.shared(serving.volume_claim, read_only=False)]
    if token_secret is not None:
        mounts.append(volumes.token(token_secret))
    container: ContainerArgsDict = {
        "name": "fetch",
        "command": ["python", "-m", FETCHING, *arguments],
        "env": neuron_pod.variables(python_pods.variables(runtime) | _HUB),
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
    }
    spec: PodSpecArgsDict = {
        **python_pods.pod_spec(
            runtime,
            container,
            mounts,
            stop_seconds=_FETCH_STOP_SECONDS,
        ),
        "restart_policy": "Never",
        "service_account_name": service_account,
    }
    template: PodTemplateSpecArgsDict = {"metadata": {"labels": {"app": app}}, "spec": spec}
    return _suspended(template, run=run, retries=_FETCH_RETRIES)
