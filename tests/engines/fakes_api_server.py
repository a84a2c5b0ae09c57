"""A real API server on loopback: etcd, kube-apiserver with RBAC, and controllers where they are asked for."""

import base64
import collections.abc
import contextlib
import dataclasses
import http.client
import json
import pathlib
import secrets
import socket
import ssl
import subprocess
import time
import typing
import urllib.parse

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.engines.fakes_engines import where

ADMIN: typing.Final = "admin-of-this-test"
"""Token of the administrator."""
FEW: typing.Final = ("deployment", "replicaset", "job", "cronjob", "serviceaccount", "namespace", "garbagecollector")
EVERY: typing.Final = ("*", "-persistentvolume-binder-controller")
"""The binder runs beside the scheduler: ``fakes_cluster.scheduling``."""
_READY_SECONDS = 40.0
_STOP_SECONDS = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """An API server that runs, as its administrator sees it."""

    url: str
    certificate: pathlib.Path
    folder: pathlib.Path

    @property
    def authority(self) -> str:
        """Return the certificate as kubeconfigs have it, base64 of PEM."""
        return base64.b64encode(self.certificate.read_bytes()).decode()

    def ask(
        self, method: str, path: str, body: object = None, *, token: str = ADMIN, kind: str = "application/json"
    ) -> tuple[int, dict[str, typing.Any]]:
        """Return status and object."""
        parts = urllib.parse.urlsplit(self.url)
        trust = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection(str(parts.hostname), parts.port, timeout=20, context=trust)
        with contextlib.closing(connection):
            headers = {"authorization": f"Bearer {token}", "content-type": kind}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        try:
            found = json.loads(text)
        except ValueError:
            found = {"message": text}
        return answer.status, found

    def apply(self, path: str, manifest: object, *, manager: str = "pulumi", force: bool = False) -> int:
        """Apply ``manifest`` on the server's side, as Pulumi does; returns the status, 409 for a conflict."""
        query = urllib.parse.urlencode({"fieldManager": manager, "force": str(force).lower()})
        status, _ = self.ask("PATCH", f"{path}?{query}", manifest, kind="application/apply-patch+yaml")
        return status

    def token(self, namespace: str, account: str) -> str:
        """Return a token such as a pod of this service account has."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        status, found = self.ask("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise LookupError(f"no token for {account}: {found}")
        return str(found["status"]["token"])


@contextlib.contextmanager
def control_plane(
    folder: pathlib.Path, *, controllers: collections.abc.Sequence[str] = FEW
) -> collections.abc.Iterator[ControlPlane]:
    """Start the programs with all they keep in ``folder``; end them by their process ids."""
    etcd, peer, api = (f"http://127.0.0.1:{_free_port()}", f"http://127.0.0.1:{_free_port()}", _free_port())
    (folder / "tokens.csv").write_text(f'{ADMIN},admin,admin,"system:masters"\n')
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "accounts.pem").write_bytes(pem)
    url = f"https://127.0.0.1:{api}"
    with contextlib.ExitStack() as running:
        start = _starter(folder, running)
        start("etcd", f"--data-dir={folder}/etcd", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
              f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
              f"--initial-cluster=default={peer}", "--unsafe-no-fsync")  # fmt: skip
        start("kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={api}",
              "--advertise-address=127.0.0.1", "--external-hostname=127.0.0.1", f"--cert-dir={folder}/certificates",
              f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC",
              f"--service-account-issuer={url}", f"--service-account-key-file={folder}/accounts.pem",
              f"--service-account-signing-key-file={folder}/accounts.pem", "--api-audiences=api",
              "--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
              "--allow-privileged=true")  # fmt: skip
        plane = ControlPlane(url=url, certificate=folder / "certificates/apiserver.crt", folder=folder)
        _wait_until_ready(plane)
        (folder / "kubeconfig").write_text(json.dumps(_kubeconfig(plane)))
        start("kube-controller-manager", f"--kubeconfig={folder}/kubeconfig", "--bind-address=127.0.0.1",
              "--secure-port=0", "--leader-elect=false", "--use-service-account-credentials=false",
              "--node-monitor-grace-period=24h", "--allocate-node-cidrs=false",
              f"--controllers={','.join(controllers)}",
              f"--service-account-private-key-file={folder}/accounts.pem")  # fmt: skip
        yield plane


def _starter(folder: pathlib.Path, running: contextlib.ExitStack) -> collections.abc.Callable[..., None]:
    def start(name: str, *words: str) -> None:
        program = where(name)
        if program is None:
            raise LookupError(f"{name} is not there")
        log = running.enter_context((folder / f"{name}.log").open("wb"))
        process = subprocess.Popen([program, *words], stdout=log, stderr=log)
        running.callback(_end, process)

    return start


def _end(process: "subprocess.Popen[bytes]") -> None:
    # The API server waits a minute for watches; nothing here is worth waiting for.
    process.terminate()
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(plane: ControlPlane) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if plane.ask("GET", "/readyz")[0] == http.HTTPStatus.OK:
                return
        time.sleep(0.2)
    raise TimeoutError((plane.folder / "kube-apiserver.log").read_text()[-2000:])


def _kubeconfig(plane: ControlPlane) -> dict[str, typing.Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "one", "cluster": {"server": plane.url, "certificate-authority": str(plane.certificate)}}
        ],
        "users": [{"name": "admin", "user": {"token": ADMIN}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "admin"}}],
        "current-context": "one",
    }


def _free_port() -> int:
    """Return a port that is free now, below those that the kernel gives to connections meanwhile."""
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
