"""The Kubernetes API as a pod may ask it: with its service account's token, about its own namespace."""

import collections.abc
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import ssl
import typing
import urllib.parse

from optimal_tp.errors import ServerFailed

ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's token, the API server's certificate and the pod's namespace."""
NODE_CLAIMS = "karpenter.sh/v1/nodeclaims"
"""Where Karpenter's nodes are, outside of any namespace."""
POOL_LABEL = "karpenter.sh/nodepool"
"""On every NodeClaim: whose node it is (karpenter.sh, concepts, NodePools)."""
_TIMEOUT_SECONDS = 30
_LOWEST_ERROR = 400
_NOT_FOUND = 404


class NotThere(ServerFailed):
    """The object that was asked for does not exist."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Namespace:
    """One namespace of the API server at ``url``."""

    url: str
    namespace: str
    token_file: pathlib.Path
    """Read at each call: Kubernetes renews the token within the hour."""
    certificate: pathlib.Path | None
    """Of the API server; None for plain HTTP."""

    def ask(
        self,
        doing: str,
        group: str,
        path: str,
        *,
        patch: collections.abc.Mapping[str, object] | None = None,
    ) -> dict[str, typing.Any]:
        """Return the object at ``path`` ("jobs/mine") of API ``group`` ("batch/v1", or "v1"), merged with ``patch``.

        ``doing`` is for the sentence: "the Kubernetes API did not ``doing``". Raises ServerFailed when it is refused or
        nobody answers.
        """
        return _object(self._send(doing, self._path(group, path), _method(patch), patch), doing)

    def ask_cluster(self, doing: str, path: str) -> dict[str, typing.Any]:
        """Return what is at ``path`` ("karpenter.sh/v1/nodeclaims") outside of any namespace, as ``ask`` does."""
        return _object(self._send(doing, f"/apis/{path}", "GET"), doing)

    def node_claims(self, pool: str) -> list[dict[str, typing.Any]]:
        """Return the NodeClaims of Karpenter's NodePool ``pool``; raises as ``ask`` does."""
        query = urllib.parse.urlencode({"labelSelector": f"{POOL_LABEL}={pool}"})
        return list(self.ask_cluster("list the nodes", f"{NODE_CLAIMS}?{query}").get("items") or ())

    def read(self, doing: str, path: str) -> str:
        """Return the text at ``path`` ("pods/mine/log?tailLines=9") of the core API, as ``ask`` does an object."""
        return self._send(doing, self._path("v1", path), "GET")

    def remove(self, doing: str, group: str, path: str) -> None:
        """Delete the object at ``path``, gracefully, as ``ask`` asks for it. One that is gone already is no error."""
        self._remove(doing, self._path(group, path))

    def remove_from_cluster(self, doing: str, path: str) -> None:
        """Delete what is at ``path`` outside of any namespace, as ``remove`` does."""
        self._remove(doing, f"/apis/{path}")

    def _path(self, group: str, path: str) -> str:
        root = "/api/v1" if group == "v1" else f"/apis/{group}"
        return f"{root}/namespaces/{self.namespace}/{path}"

    def _remove(self, doing: str, path: str) -> None:
        with contextlib.suppress(NotThere):
            self._send(doing, path, "DELETE")

    def _send(
        self, doing: str, path: str, method: str, patch: collections.abc.Mapping[str, object] | None = None
    ) -> str:
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise _no_account(error) from error
        # The agent's name is what Kubernetes writes beside the fields that it has changed.
        headers = {"authorization": f"Bearer {token}", "user-agent": "optimal-tp"}
        if patch is not None:
            headers["content-type"] = "application/merge-patch+json"
        body = None if patch is None else json.dumps(patch)
        connection = self._connection()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ServerFailed(
                f"the Kubernetes API at {self.url} did not {doing}: {error}; check that the cluster is up and that a "
                "NetworkPolicy lets this pod reach it"
            ) from error
        finally:
            connection.close()
        if answer.status >= _LOWEST_ERROR:
            kind = NotThere if answer.status == _NOT_FOUND else ServerFailed
            remedy = _REMEDIES.get(answer.status, "check the cluster: kubectl get --raw /readyz")
            raise kind(f"the Kubernetes API did not {doing}: {answer.status} {text[:300]}; {remedy}")
        return text

    def _connection(self) -> http.client.HTTPConnection:
        parts = urllib.parse.urlsplit(self.url)
        host, port = str(parts.hostname), parts.port
        if self.certificate is None:
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
        trust = ssl.create_default_context(cafile=str(self.certificate))
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=trust)


def _method(patch: collections.abc.Mapping[str, object] | None) -> str:
    return "GET" if patch is None else "PATCH"


_REMEDIES: typing.Final = {403: "`pulumi up` restores its rights", 404: "`pulumi up` creates it again"}


def own_namespace(account: pathlib.Path = ACCOUNT) -> Namespace:
    """Return this pod's own namespace. Raises ServerFailed outside a pod.

    Kubernetes names the API server's address in every pod's environment, so that no DNS has to work.
    """
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        return Namespace(
            url=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            namespace=(account / "namespace").read_text(encoding="utf-8").strip(),
            token_file=account / "token",
            certificate=account / "ca.crt",
        )
    except OSError as error:
        raise _no_account(error) from error


def _no_account(error: OSError) -> ServerFailed:
    return ServerFailed(
        f"options that use Kubernetes must run in a pod with a service account: {error}; run the command in the "
        "cluster or remove these options"
    )


def _object(text: str, doing: str) -> dict[str, typing.Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ServerFailed(
            f"the Kubernetes API did not {doing}: the answer must be a JSON object (got {text[:300]}); "
            "check for a proxy"
        )
    return found
