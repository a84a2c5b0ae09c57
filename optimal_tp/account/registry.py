"""Ask container registries over HTTPS, without a login, whether they have a manifest."""

import http.client
import json
import re
import typing
import urllib.error
import urllib.parse
import urllib.request

from optimal_tp.account.questions import Answer, Unknown

TIMEOUT_SECONDS = 5.0
"""Limit of each wait in a request; a registry that did not answer once is not asked again."""
_LARGEST_TOKEN_BYTES = 65536
_MANIFESTS: typing.Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404


class Response(typing.NamedTuple):
    """Status, headers with lower-case names, and the first bytes of the body."""

    status: int
    headers: dict[str, str]
    body: bytes


Fetch = typing.Callable[[str, str, dict[str, str]], Response]
"""Takes method, URL and headers, returns the response, raises OSError without one. A seam for tests."""


def fetch(method: str, url: str, headers: dict[str, str]) -> Response:
    """Send one request, through the environment's proxy if it names one. Raises OSError without an answer."""
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - our own https URL or its realm
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - likewise
            return Response(answer.status, _lowered(answer.headers), answer.read(_LARGEST_TOKEN_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, _lowered(error.headers), b"")
    except http.client.HTTPException as error:
        raise ConnectionError(f"{url} does not speak HTTP") from error


class RegistryClient:
    """Asks registries for manifests. Keeps a token for each realm and scope, and remembers silent registries."""

    def __init__(self, fetch: Fetch = fetch) -> None:
        self._fetch = fetch
        self._tokens: dict[str, str] = {}
        self._silent: dict[str, str] = {}

    def __call__(self, manifest_url: str) -> Answer:
        """Return the manifest's digest, nothing if the registry has none, or why it is not known."""
        host = urllib.parse.urlsplit(manifest_url).netloc
        if host in self._silent:
            return Unknown(reason=self._silent[host])
        try:
            return self._asked(host, manifest_url)
        # A malformed answer of a proxy or a sign-on page is no answer either.
        except (OSError, ValueError) as error:
            self._silent[host] = f"{host} cannot be reached ({type(error).__name__})"
            return Unknown(reason=self._silent[host])

    def _asked(self, host: str, url: str) -> Answer:
        headers = {"Accept": ", ".join(_MANIFESTS)}
        answer = self._fetch("HEAD", url, headers)
        if answer.status == _UNAUTHORIZED:
            token = self._token(answer.headers.get("www-authenticate", ""))
            if token is None:
                return Unknown(reason=f"{host} requires a login")
            answer = self._fetch("HEAD", url, {**headers, "Authorization": f"Bearer {token}"})
        if answer.status == _OK:
            return _digest(host, url, answer.headers)
        if answer.status == _NOT_FOUND:
            return ()
        if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
            return Unknown(reason=f"{host} does not show it without a login ({answer.status})")
        return Unknown(reason=f"{host} answered {answer.status}")

    def _token(self, challenge: str) -> str | None:
        """Return a token that the challenge's realm gives to anybody; None if it gives none.

        Docker's token specification, which public.ecr.aws follows: realm, service and scope come from the challenge.
        """
        scheme, _, rest = challenge.partition(" ")
        parameters = dict(_PARAMETER.findall(rest))
        realm = parameters.pop("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith("https://"):
            return None
        query = {key: parameters[key] for key in ("service", "scope") if key in parameters}
        url = f"{realm}?{urllib.parse.urlencode(query)}"
        if url not in self._tokens:
            answer = self._fetch("GET", url, {})
            if answer.status != _OK:
                return None
            told = json.loads(answer.body)
            found = (told.get("token") or told.get("access_token")) if isinstance(told, dict) else None
            self._tokens[url] = str(found or "")
        return self._tokens[url] or None


def _digest(host: str, url: str, headers: dict[str, str]) -> Answer:
    """Return the digest of an existing manifest. A proxy's sign-on page also answers 200, but without a digest."""
    digest, wanted = headers.get("docker-content-digest"), url.rsplit("/", maxsplit=1)[-1]
    if digest is None:
        return Unknown(reason=f"{host} answered, but not as a registry")
    if wanted.startswith("sha256:") and digest != wanted:
        return Unknown(reason=f"{host} answered with another manifest, {digest}")
    return (digest,)


def _lowered(headers: typing.Any) -> dict[str, str]:  # noqa: ANN401 - http.client's message
    return {str(key).lower(): str(value) for key, value in headers.items()}
