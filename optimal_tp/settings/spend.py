"""Budget, servers and load generator: the ``spend``, ``serving`` and ``loadtest`` sections of a stack file."""

import itertools
import typing

import pydantic

from optimal_tp.facts.bucketing import PINS, STEP_TOKENS, Kind, as_pin
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.names import NAMESPACE
from optimal_tp.settings.parser import Section, broken, parse, shape

Layout = typing.Literal["one-each", "equal-cores"]
"""``equal-cores``: the servers of every degree fill equal cores; ``one-each``: one per degree, as in the sample."""
Placement = typing.Literal["packed", "isolated"]
"""``packed``: servers share nodes; ``isolated``: a node per server."""
Shortage = typing.Literal["take-turns", "refuse"]
"""What to do when there are fewer nodes than all servers together need."""


class ExpectedMinutes(Section):
    """Minutes of the parts that no other setting bounds. They are estimates, not measurements: put in what you saw."""

    cluster: float = pydantic.Field(default=25, ge=0)
    """From the first AWS call until Neuron nodes can be launched; none of them is paid for yet."""
    compile: float = pydantic.Field(default=30, ge=0)
    """One turn's compile Jobs, with the launch of their nodes and the pull of the image."""
    start: float = pydantic.Field(default=10, ge=0)
    """One turn's servers, until they answer."""
    leave: float = pydantic.Field(default=10, ge=0)
    """From Karpenter's removal of an empty node until EC2 stops billing it."""


class Spend(Section):
    """The budget, and whether the servers stop after the verdict."""

    budget_usd: float
    """The most that the hours in use may cost. The preview fails if the expected cost is more, and a guard in the
    cluster stops the servers before more is spent. A Capacity Block is paid in full, even if it costs more than the
    budget."""
    keep_running: bool = False
    """True: after the verdict the AWS sample's probe keeps running on the servers, and nothing stops them, not even the
    budget."""
    expected_minutes: ExpectedMinutes = ExpectedMinutes()

    @pydantic.field_validator("budget_usd")
    @classmethod
    def _pays_for_something(cls, budget_usd: float) -> float:
        if budget_usd <= 0:
            raise broken("must be above 0: it is the most that the hours in use may cost, in USD")
        return budget_usd

    def annotations(self) -> dict[str, str]:
        """Return the annotations of the experiment's namespace, which the policy pack can check."""
        endless = {"optimal-tp/keep-running": "true"} if self.keep_running else {}
        return {"optimal-tp/budget-usd": f"{self.budget_usd:g}", **endless}


def parse_spend(data: object, *, file: str) -> Spend:
    """Return the ``spend`` section of ``file``; its budget must be there. Raises SettingsError with every bad key."""
    return parse(Spend, {} if data is None else data, where="spend", file=file)


_DNS_LABEL = shape(
    r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", "must be lower-case letters, digits and hyphens, for example optimal-tp"
)
_BUCKET = shape(
    r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", "must be the name of a bucket: 3 to 63 lower-case letters, digits and hyphens"
)
_KUBERNETES_OWN = ("default", "kube-system", "kube-public", "kube-node-lease")


class Buckets(Section):
    """Lengths with compiled graphs of their own, below ``max_model_len_tokens``, which always has them."""

    prompt_tokens: tuple[int, ...] | None = None
    """Lengths of prompts, rising multiples of 128; ``[]``: none but ``max_model_len_tokens``; absent: powers of two."""
    context_tokens: tuple[int, ...] | None = None
    """The same for a prompt with its answer; absent: as the image of ``infra.neuron.pair`` has it, powers of two or one
    graph for all."""

    @pydantic.field_validator("prompt_tokens", "context_tokens")
    @classmethod
    def _rising_steps(cls, lengths: tuple[int, ...] | None) -> tuple[int, ...] | None:
        stated = (0, *(lengths or ()))
        if any(b <= a or b % STEP_TOKENS for a, b in itertools.pairwise(stated)):
            raise broken(f"must be rising multiples of {STEP_TOKENS}, each once, for example [256, 768]")
        return lengths

    @property
    def stated(self) -> dict[Kind, tuple[int, ...]]:
        """The lists that are set."""
        every: dict[Kind, tuple[int, ...] | None] = {"prompt": self.prompt_tokens, "context": self.context_tokens}
        return {kind: lengths for kind, lengths in every.items() if lengths is not None}

    @property
    def pins(self) -> dict[str, str]:
        """What a run's record says of them."""
        return {PINS[kind]: as_pin(lengths) for kind, lengths in self.stated.items()}


class Serving(Section):
    """The servers: layout, placement, patience, and the places of model and compiled artifacts."""

    namespace: str = pydantic.Field(default=NAMESPACE, pattern=_DNS_LABEL)
    """Kubernetes namespace of everything that the experiment runs; created by the program. On an existing cluster each
    stack needs one of its own; any other than the default also ends the names of node pool, dashboard and alarms."""
    layout: Layout = "equal-cores"
    """``equal-cores``: as many servers per degree as fill ``equal_cores``, so that every degree is measured on whole
    chips; ``one-each``: one server per degree, as the AWS sample has."""
    equal_cores: int | None = pydantic.Field(default=None, ge=1)
    """Logical cores of each degree's servers together, with ``equal-cores``; absent: the whole chips (4 cores each)
    that the largest degree needs."""
    placement: Placement = "packed"
    """``packed``: servers share nodes; ``isolated``: a node per server."""
    when_nodes_are_few: Shortage = "take-turns"
    """If all servers need more nodes than limits or reservation allow: ``take-turns`` or ``refuse``."""
    model_source: str = pydantic.Field(
        default="https://huggingface.co",
        pattern=shape(
            r"^(https://|s3://[a-z0-9.-]{3,63}/?).*$",
            "must be a hub (https://...) or an S3 prefix (s3://bucket/prefix)",
        ),
    )
    """Source of the model: a hub that answers as huggingface.co does, or an S3 prefix with the model's files. If the
    program does not know the model, it reads ``config.json`` there at preview."""
    config_file: str | None = pydantic.Field(default=None, min_length=1)
    """The model's ``config.json``, or the folder that holds it, on the machine that runs Pulumi, for a model whose
    source it cannot reach. With several models, a folder with a subfolder per model, named by its slug."""
    shape_as: str | None = None
    """A known model that has the same sizes as ``workloads.model``; it replaces a ``config.json``."""
    volume_claim: str = pydantic.Field(default="adhoc-python-packages-deb-pvc", pattern=_DNS_LABEL)
    """Name of the claim on the shared file system that holds model and artifacts; the AWS sample's by default."""
    start_patience_seconds: int = pydantic.Field(default=5100, ge=60, le=21600)
    """How long a server may take to answer, and a compile Job to end; the AWS sample allows 85 minutes."""
    probe_patience_seconds: int = pydantic.Field(default=180, ge=30, le=3600)
    """How long a running server may fail its probes before it is taken out or restarted, 3 min in the AWS sample."""
    stop_patience_seconds: int = pydantic.Field(default=60, ge=1, le=600)
    """Time from SIGTERM to SIGKILL."""
    shared_memory_gib: int = pydantic.Field(default=4, ge=1, le=64)
    """Size of /dev/shm; it counts as the pod's memory. One process drives all cores, so little is needed."""
    run_as_user: int | None = pydantic.Field(default=None, ge=1)
    """User id of the servers; absent: the image's own, root, the only one tried with AWS's images."""
    buckets: Buckets = Buckets()

    @pydantic.field_validator("namespace")
    @classmethod
    def _its_own(cls, namespace: str) -> str:
        if namespace in _KUBERNETES_OWN:
            raise broken("must be a new namespace: it is created and deleted with the experiment")
        return namespace

    @pydantic.field_validator("equal_cores")
    @classmethod
    def _only_with_equal_cores(cls, cores: int | None, info: pydantic.ValidationInfo) -> int | None:
        if cores is not None and info.data.get("layout") != "equal-cores":
            raise broken("must be absent unless layout is equal-cores")
        return cores

    @pydantic.field_validator("shape_as")
    @classmethod
    def _known_shape(cls, name: str | None) -> str | None:
        if name is not None and name not in SHAPES:
            raise broken(f"must be a model whose sizes are known: {', '.join(SHAPES)}")
        return name


class Results(Section):
    """The bucket of samples, records and verdicts."""

    bucket: str | None = pydantic.Field(default=None, pattern=_BUCKET)
    """Name of the bucket; absent: a new, unused name."""
    prefix: str = pydantic.Field(
        default="runs",
        pattern=shape(
            r"^[A-Za-z0-9][A-Za-z0-9/_-]*[A-Za-z0-9]$",
            "must be a key prefix without a slash at either end, for example runs",
        ),
    )
    """Key prefix of all runs; the load generator has no access to anything else."""
    on_destroy: typing.Literal["keep", "delete"] = "keep"
    """``keep`` leaves the bucket to you when the stack is destroyed; ``delete`` removes it with every result."""
    expire_after_days: int | None = pydantic.Field(default=365, ge=1)
    """Results older than this are deleted; absent: never."""


class Alarms(Section):
    """The alarms of the dashboard."""

    topic_arn: str | None = pydantic.Field(
        default=None, pattern=shape(r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:.+$", "must be the ARN of an SNS topic")
    )
    """SNS topic that alarms notify; absent: they only change colour on the dashboard."""
    silent_after_minutes: int = pydantic.Field(default=15, ge=5, le=180)
    """Minutes without any request before the load generator counts as silent."""


class LoadTestSettings(Section):
    """The load generator and its results."""

    run: str = pydantic.Field(
        default="1",
        pattern=shape(
            r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$",
            "must be 1 to 32 lower-case letters, digits and hyphens, for example 2 or with-chat",
        ),
    )
    """Name of the experiment. With a new name ``pulumi up`` measures again: stopped servers restart, and so does the
    budget's clock."""
    image: str | None = pydantic.Field(
        default=None, pattern=shape(r"^[a-z0-9][^\s]*[:@][^\s]+$", "must be an image with its tag or digest")
    )
    """An image with the dependencies, built from the repository's Dockerfile; absent: they are installed at start."""
    package_index_url: str | None = pydantic.Field(
        default=None, pattern=shape(r"^https://\S+$", "must be a URL that begins with https://")
    )
    """Package index for the dependencies; absent: pip's default. Hashes are checked in either case."""
    cpu_millicores: int = pydantic.Field(default=1000, ge=100)
    """CPU that the load generator requests. It has no CPU limit: throttling would make the client late."""
    memory_mib: int = pydantic.Field(default=1024, ge=256)
    """Memory of the load generator, as request and limit."""
    grace_seconds: int = pydantic.Field(default=120, ge=10, le=600)
    """Time from SIGTERM to SIGKILL, in which to finish requests and upload the remaining results."""
    pods: int = pydantic.Field(default=1, ge=1, le=64)
    """Load generators. With more than one they share the load as an Indexed Job, by a plan made before the run."""
    start_after_seconds: int = pydantic.Field(default=300, ge=30, le=3600)
    """With several ``pods``: time from the Job's start until all begin together. A pod that is not ready by then ends
    the run."""
    results: Results = Results()
    alarms: Alarms = Alarms()
