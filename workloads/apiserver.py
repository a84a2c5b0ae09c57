"""The Kubernetes API server as a pod's service account meets it, with nothing but the standard library."""

import dataclasses
import http.client
import json
import os
import pathlib
import ssl
import typing
import urllib.parse

from infra.errors import ServerFailed

ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's token, the API server's certificate and the pod's namespace."""
_TIMEOUT_SECONDS = 30
_LOWEST_ERROR = 400
NOT_FOUND = 404


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What the API server said."""

    status: int
    text: str

    @property
    def is_refusal(self) -> bool:
        """True for every status that is an error."""
        return self.status >= _LOWEST_ERROR

    def data(self) -> dict[str, typing.Any]:
        """Return the object in the answer. Raises ServerFailed where there is none."""
        try:
            found = json.loads(self.text)
        except json.JSONDecodeError as error:
            raise ServerFailed(f"the Kubernetes API answered something that is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise ServerFailed(f"the Kubernetes API answered {type(found).__name__} in place of an object")
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApiServer:
    """One cluster's API server, and who asks it."""

    url: str
    token_file: pathlib.Path
    """Read at each call: Kubernetes renews the token within the hour."""
    certificate: pathlib.Path | None
    """Of the API server; None for plain HTTP."""

    def ask(self, path: str, patch: object = None) -> Answer:
        """GET ``path``, or merge ``patch`` into what is there. Raises ServerFailed when nobody answers."""
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ServerFailed(f"the Kubernetes API wants a service account: {error}") from error
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        if patch is not None:
            headers["content-type"] = "application/merge-patch+json"
        connection = self._connection()
        try:
            body = None if patch is None else json.dumps(patch)
            connection.request("GET" if patch is None else "PATCH", path, body, headers)
            answer = connection.getresponse()
            return Answer(status=answer.status, text=answer.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException) as error:
            raise ServerFailed(f"the Kubernetes API at {self.url} does not answer: {error}") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urllib.parse.urlsplit(self.url)
        host = str(parts.hostname)
        if self.certificate is None:
            return http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_SECONDS)
        try:
            context = ssl.create_default_context(cafile=str(self.certificate))
        except OSError as error:
            raise ServerFailed(f"the Kubernetes API wants a service account: {error}") from error
        return http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT_SECONDS, context=context)


def from_pod(account: pathlib.Path = ACCOUNT) -> tuple[ApiServer, str]:
    """Return the API server of the cluster that this pod runs in, and the pod's namespace.

    Kubernetes names the server's address in every pod's environment, so no DNS is asked. Raises ServerFailed outside a
    pod.
    """
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        namespace = (account / "namespace").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ServerFailed(f"the Kubernetes API wants a service account: {error}") from error
    address = f"[{host}]" if ":" in host else host
    server = ApiServer(url=f"https://{address}:{port}", token_file=account / "token", certificate=account / "ca.crt")
    return server, namespace
