"""Container registries, asked as anybody may ask them."""

import json

import pytest

from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.account.registry import RegistryClient, Response

DIGEST = "sha256:" + "a" * 64
URL = "https://public.ecr.aws/v2/neuron/vllm/manifests/1.0"
REALM = "https://public.ecr.aws/token/"
CHALLENGE = {"www-authenticate": f'Bearer realm="{REALM}",service="public.ecr.aws",scope="aws"'}
THERE = Response(200, {"docker-content-digest": DIGEST}, b"")


class Registry:
    """Answers as public.ecr.aws does: a challenge, a token for anybody, then the manifest. Keeps what was asked."""

    def __init__(
        self, manifest: Response = THERE, token: Response | None = None, challenge: Response | None = None
    ) -> None:
        self.manifest = manifest
        self.token = Response(200, {}, json.dumps({"token": "T"}).encode()) if token is None else token
        self.challenge = Response(401, CHALLENGE, b"") if challenge is None else challenge
        self.asked: list[tuple[str, str]] = []

    def __call__(self, method: str, url: str, headers: dict[str, str]) -> Response:
        """Answer one request."""
        self.asked.append((method, url))
        if url.startswith(REALM):
            return self.token
        return self.manifest if headers.get("Authorization") == "Bearer T" else self.challenge


def test_a_public_registry_is_asked_with_the_token_that_it_gives_to_anybody() -> None:
    """The token comes from the realm, service and scope of the challenge; the manifest is asked for by HEAD alone."""
    registry = Registry()

    assert RegistryClient(registry)(URL) == (DIGEST,)
    assert registry.asked == [
        ("HEAD", URL),
        ("GET", f"{REALM}?service=public.ecr.aws&scope=aws"),
        ("HEAD", URL),
    ]


def test_a_token_is_asked_for_once() -> None:
    """Registries limit how often anybody may ask."""
    registry = Registry()
    ask = RegistryClient(registry)
    for tag in ("1", "2", "3"):
        ask(f"https://public.ecr.aws/v2/neuron/vllm/manifests/{tag}")

    assert [url for method, url in registry.asked if method == "GET"] == [f"{REALM}?service=public.ecr.aws&scope=aws"]


def test_a_registry_without_a_challenge_needs_no_token() -> None:
    """Mirrors inside a network often let anybody read."""
    assert RegistryClient(lambda *_: THERE)("https://mirror/v2/a/manifests/1") == (DIGEST,)


@pytest.mark.parametrize(
    ("registry", "answer"),
    [
        (Registry(manifest=Response(404, {}, b"")), ()),
        (
            Registry(manifest=Response(403, {}, b"")),
            Unknown(reason="public.ecr.aws does not show it without a login (403)"),
        ),
        (
            Registry(manifest=Response(401, {}, b"")),
            Unknown(reason="public.ecr.aws does not show it without a login (401)"),
        ),
        (Registry(manifest=Response(429, {}, b"")), Unknown(reason="public.ecr.aws answered 429")),
        (Registry(manifest=Response(200, {}, b"")), Unknown(reason="public.ecr.aws answered, but not as a registry")),
        (
            Registry(token=Response(403, {}, b"")),
            Unknown(reason="public.ecr.aws requires a login"),
        ),
        (
            Registry(token=Response(200, {}, b"{}")),
            Unknown(reason="public.ecr.aws requires a login"),
        ),
        (
            Registry(challenge=Response(401, {"www-authenticate": 'Basic realm="x"'}, b"")),
            Unknown(reason="public.ecr.aws requires a login"),
        ),
        (
            Registry(challenge=Response(401, {"www-authenticate": 'Bearer realm="http://x/"'}, b"")),
            Unknown(reason="public.ecr.aws requires a login"),
        ),
        (
            Registry(token=Response(200, {}, b"<html>")),
            Unknown(reason="public.ecr.aws cannot be reached (JSONDecodeError)"),
        ),
    ],
    ids=[
        *("absent", "forbidden", "unauthorized", "throttled", "sign-on page", "no token", "empty token", "basic"),
        *("realm without TLS", "broken token"),
    ],
)
def test_what_is_not_there_is_told_from_what_nobody_knows(registry: Registry, answer: Answer) -> None:
    """Only 404 means absent; everything else but a digest is unknown."""
    assert RegistryClient(registry)(URL) == answer


def test_a_manifest_by_digest_is_that_manifest() -> None:
    """A registry, or a proxy before it, that answers with another one is not believed."""
    other = "sha256:" + "b" * 64
    ask = RegistryClient(Registry())

    assert ask(f"https://public.ecr.aws/v2/a/manifests/{DIGEST}") == (DIGEST,)
    assert ask(f"https://public.ecr.aws/v2/a/manifests/{other}") == Unknown(
        reason=f"public.ecr.aws answered with another manifest, {DIGEST}"
    )


def test_a_silent_registry_is_asked_once() -> None:
    """Nobody waits for the time-out of each image in turn; another registry is still asked."""
    asked = []

    def fetch(_: str, url: str, __: dict[str, str]) -> Response:
        asked.append(url)
        if "silent" in url:
            raise TimeoutError
        return THERE

    ask = RegistryClient(fetch)
    found = [ask(f"https://{host}/v2/a/manifests/1") for host in ("silent", "silent", "mirror")]

    assert found == [Unknown(reason="silent cannot be reached (TimeoutError)")] * 2 + [(DIGEST,)]
    assert len(asked) == 2


def test_a_token_is_asked_for_over_tls_alone() -> None:
    """A challenge that points elsewhere is not followed: the token would travel in the open."""
    asked = []

    def fetch(_: str, url: str, __: dict[str, str]) -> Response:
        asked.append(url)
        return Response(401, {"www-authenticate": 'Bearer realm="http://mirror/token",service="m"'}, b"")

    assert RegistryClient(fetch)("https://mirror/v2/a/manifests/1") == Unknown(reason="mirror requires a login")
    assert asked == ["https://mirror/v2/a/manifests/1"]
