"""A Kubernetes control plane on this machine: etcd, API server, controllers, scheduler; free ports of 127.0.0.1."""

import base64
import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import time
import typing
import urllib.error
import urllib.request

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROGRAMS: typing.Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
ASSETS: typing.Final = "KUBEBUILDER_ASSETS"
"""Environment variable with the folder of the programs, as envtest names it; without it they are looked up on PATH."""
_READY_SECONDS = 60
_STOP_SECONDS = 2
_LOOK_SECONDS = 0.1
_SCHEDULERS: typing.Final = ("default-scheduler", "my-scheduler")
"""The second is the one that Neuron pods name: the same program with an extender, which is not here."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """Where the API server is and how to be its administrator."""

    url: str
    authority: str
    """Certificate authority, base64 of PEM."""
    token: str

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> dict[str, typing.Any]:
        """Call the API. Raises HTTPError for a refusal."""
        context = ssl.create_default_context(cadata=base64.b64decode(self.authority).decode())
        # The API server's own certificate names its host; the address is a loopback one and ours.
        context.check_hostname = False
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind, "Accept": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers, method=method)  # noqa: S310 - https
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310 - likewise
            found: dict[str, typing.Any] = json.loads(answer.read() or b"{}")
            return found

    def kubeconfig(self) -> dict[str, typing.Any]:
        """Return a kubeconfig of the administrator."""
        cluster = {"server": self.url, "certificate-authority-data": self.authority}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
            "current-context": "here",
        }


def missing() -> list[str]:
    """Return the programs that this machine does not have."""
    return [name for name in PROGRAMS if _program(name) is None]


def _program(name: str) -> str | None:
    folder = os.environ.get(ASSETS)
    return shutil.which(name) if folder is None else shutil.which(name, path=folder)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextlib.contextmanager
def control_plane(folder: pathlib.Path) -> collections.abc.Iterator[ControlPlane]:
    """Run a control plane with its files in ``folder``, and end it by its process ids."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *flags: str) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            started.append(subprocess.Popen([str(_program(name)), *flags], stdout=log, stderr=log, cwd=folder))

    store, peers, port = _free_ports(3)
    key, tokens, config = folder / "accounts.key", folder / "tokens.csv", folder / "kubeconfig.json"
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    tokens.write_text('admin,admin,admin,"system:masters"\n', encoding="utf-8")
    try:
        start(
            "etcd",
            *("--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"),
            *(
                "--listen-client-urls",
                f"http://127.0.0.1:{store}",
                "--advertise-client-urls",
                f"http://127.0.0.1:{store}",
            ),
            *(
                "--listen-peer-urls",
                f"http://127.0.0.1:{peers}",
                "--initial-advertise-peer-urls",
                f"http://127.0.0.1:{peers}",
            ),
            *("--initial-cluster", f"default=http://127.0.0.1:{peers}"),
        )
        start(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{store}",
            *(f"--secure-port={port}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"),
            *(f"--cert-dir={folder / 'certificates'}", f"--token-auth-file={tokens}", "--authorization-mode=RBAC"),
            *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
            *("--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/24"),
            *("--allow-privileged=true", "--endpoint-reconciler-type=none"),
        )
        certificate = folder / "certificates" / "apiserver.crt"
        _wait(certificate.exists, "the API server writes its certificate", folder)
        authority = base64.b64encode(certificate.read_bytes()).decode()
        plane = ControlPlane(url=f"https://127.0.0.1:{port}", authority=authority, token="admin")  # noqa: S106 - of a test
        _wait(lambda: _is_ready(plane), "the API server is ready", folder)
        config.write_text(json.dumps(plane.kubeconfig()), encoding="utf-8")
        start(
            "kube-controller-manager",
            *(f"--kubeconfig={config}", f"--service-account-private-key-file={key}", "--leader-elect=false"),
            *(
                "--secure-port=0",
                "--node-monitor-grace-period=24h",
                "--use-service-account-credentials=false",
                "--allocate-node-cidrs=false",
            ),
        )
        scheduling = folder / "scheduler.json"
        scheduling.write_text(json.dumps(_scheduling(config)), encoding="utf-8")
        start("kube-scheduler", f"--config={scheduling}", "--secure-port=0")
        yield plane
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_STOP_SECONDS)
            # The API server waits a minute for watches; nothing here is worth waiting for.
            process.kill()
            process.wait()


def _scheduling(kubeconfig: pathlib.Path) -> dict[str, typing.Any]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": name} for name in _SCHEDULERS],
    }


def _is_ready(plane: ControlPlane) -> bool:
    try:
        # Its answer is text; that it answers is what counts. The default account comes with the controllers.
        return bool(plane.ask("GET", "/api/v1/namespaces/kube-system"))
    except (OSError, urllib.error.URLError):
        return False


def _wait(is_so: collections.abc.Callable[[], bool], what: str, folder: pathlib.Path) -> None:
    end = time.monotonic() + _READY_SECONDS
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"{_READY_SECONDS} s were not enough until {what}; logs are in {folder}")
        time.sleep(_LOOK_SECONDS)
