"""The user's kubectl, pointed at the cluster of a stack whatever its current context is.

The commands `stop` and `why-pending` use it.
"""

import collections.abc
import contextlib
import dataclasses
import json
import pathlib
import shutil
import subprocess
import tempfile
import typing

from optimal_tp.account.stack_outputs import by_command, with_outputs
from optimal_tp.errors import CapacityError, OptimalTpError, ServerFailed
from optimal_tp.plan.stack import namespace_of
from optimal_tp.settings.infra import InfraSettings, parse_infra
from optimal_tp.settings.stack_config import StackConfig, stack_config

_PATIENCE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kubectl:
    """Asks one namespace of one cluster."""

    command: str
    way: tuple[str, ...]
    """Options that select the cluster."""
    name: str
    """Name of the cluster."""
    namespace: str

    def __call__(self, *words: str) -> str:
        """Return kubectl's output. Raises ServerFailed with kubectl's own message if it fails."""
        limit = f"--request-timeout={_PATIENCE_SECONDS:g}s"
        return _printed([self.command, *self.way, "--namespace", self.namespace, limit, *words])

    def items(self, *words: str) -> list[dict[str, typing.Any]]:
        """Return the objects that ``kubectl get`` with ``words`` lists."""
        found = json.loads(self("get", *words, "--output", "json"))
        items: list[dict[str, typing.Any]] = found["items"]
        return items


@contextlib.contextmanager
def kubectl_of(stack: str) -> collections.abc.Iterator[Kubectl]:
    """Yield a kubectl for the cluster of ``stack``.

    Raises SettingsError for a bad stack file, CapacityError if a command is missing, ServerFailed if one fails.
    """
    config = stack_config(stack, pathlib.Path())
    infra, namespace = _settings(config)
    command = _found("kubectl", "install it: https://kubernetes.io/docs/tasks/tools")
    with tempfile.TemporaryDirectory(prefix="optimal-tp-") as folder:
        existing = infra.existing
        if existing is None:
            way: tuple[str, ...] = (
                "--kubeconfig",
                _written(infra, config.profile, pathlib.Path(folder) / "kubeconfig"),
            )
        else:
            named = {"--kubeconfig": existing.kubeconfig, "--context": existing.context}
            way = tuple(word for option, value in named.items() if value is not None for word in (option, value))
        yield Kubectl(command=command, way=way, name=infra.physical_name, namespace=namespace)


def _settings(config: StackConfig) -> tuple[InfraSettings, str]:
    """Return the settings of the stack's cluster, and the experiment's namespace in it."""
    try:
        sections, file = config.sections, config.file
        infra = parse_infra(with_outputs(sections["infra"], by_command, file=file), file=file)
        return infra, namespace_of(config)
    except OptimalTpError as error:
        raise config.hidden(error) from None


def _written(infra: InfraSettings, profile: str | None, path: pathlib.Path) -> str:
    """Have the AWS CLI write the kubeconfig of the stack's own cluster to ``path``; return the path."""
    aws = _found("aws", "install the AWS CLI, version 2, which gives kubectl its token")
    asking = [] if profile is None else ["--profile", profile]
    where = ["--region", infra.region, "--name", infra.physical_name, "--kubeconfig", str(path)]
    _printed([aws, "eks", "update-kubeconfig", *where, *asking])
    return str(path)


def _found(name: str, remedy: str) -> str:
    command = shutil.which(name)
    if command is None:
        raise CapacityError(f"{name}: must be on PATH to reach the stack's cluster; {remedy}")
    return command


def _printed(words: list[str]) -> str:
    name = pathlib.Path(words[0]).name
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=2 * _PATIENCE_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerFailed(f"{name} gave no answer ({type(error).__name__})") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise ServerFailed(f"{name} failed: {said}")
    return done.stdout
