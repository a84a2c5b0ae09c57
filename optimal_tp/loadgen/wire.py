"""Build the bytes of a request: the address is parsed once, and only the prompt changes in the body."""

import dataclasses
import json
import typing
import urllib.parse
from json.encoder import encode_basestring_ascii

from optimal_tp.plan.prompts import Prompt

if typing.TYPE_CHECKING:
    # Every load imports this module, and the settings' library would take as long as the first request may.
    from optimal_tp.settings.workload import Api

_PORTS = {"http": 80, "https": 443}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Address:
    """The address of a server."""

    host: str
    port: int
    tls: bool
    path: str
    """Prefix of every path, without a slash at the end."""

    @property
    def authority(self) -> str:
        """Value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"


def address(url: str) -> Address:
    """Return the address in ``url``; a trailing ``/v1`` is removed, because people write URLs with and without it.

    Raises ValueError with the rule for a URL of another form.
    """
    rule = "must be http://host:port or https://host:port, then the path before /v1 if there is one"
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{url!r} is not a server's URL; {rule}") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{url!r} is not a server's URL; {rule}")
    path = parts.path.rstrip("/").removesuffix("/v1")
    default = _PORTS[parts.scheme]
    return Address(host=parts.hostname, port=default if port is None else port, tls=parts.scheme == "https", path=path)


def head(
    where: Address, method: str, path: str, headers: typing.Sequence[tuple[str, str]], length: int | None
) -> bytes:
    """Return a request's head; with ``length`` None it ends in ``Content-Length: `` for the caller to complete.

    Raises ValueError for a header that contains a line break.
    """
    lines = [
        f"{method} {where.path}{path} HTTP/1.1",
        f"Host: {where.authority}",
        "Accept: */*",
        "Accept-Encoding: identity",
    ]
    for name, value in headers:
        if any(end in name + value for end in "\r\n"):
            raise ValueError(f"header {name!r} must be one line")
        lines.append(f"{name}: {value}")
    if length is None or length:
        lines.append("Content-Type: application/json")
    lines.append("Content-Length: " if length is None else f"Content-Length: {length}\r\n\r\n")
    return "\r\n".join(lines).encode()


class _Call(typing.NamedTuple):
    """How one API takes a prompt: the path, and the parts of the body before and after the text."""

    path: str
    before: bytes
    after: bytes


_CALLS: typing.Final[dict[str, _Call]] = {
    "completions": _Call("/v1/completions", b'{"prompt":', b""),
    "chat": _Call("/v1/chat/completions", b'{"messages":[{"role":"user","content":', b"}]"),
}


def path_of(api: "Api") -> str:
    """Return the path of ``api``."""
    return _CALLS[api].path


class RequestWriter:
    """Writes POST /v1/completions or /v1/chat/completions for one server; shared parts are encoded once."""

    __slots__ = ("_after", "_before", "_head", "_max_tokens")

    def __init__(
        self,
        where: Address,
        shared: typing.Mapping[str, object],
        *,
        max_tokens: int,
        headers: typing.Sequence[tuple[str, str]] = (),
        api: "Api" = "completions",
    ) -> None:
        """Encode the shared parts: ``shared`` are the body's keys other than prompt and max_tokens."""
        call = _CALLS[api]
        self._head = head(where, "POST", call.path, headers, None)
        self._max_tokens = max_tokens
        self._before = call.before
        fixed = json.dumps(dict(shared), separators=(",", ":"), allow_nan=False)[1:-1]
        self._after = call.after + (f',{fixed},"max_tokens":'.encode() if fixed else b',"max_tokens":')

    def request(self, prompt: Prompt, length: int | None = None) -> bytes:
        """Return the whole request for ``prompt``.

        It asks for the prompt's own number of output tokens, else for ``length``, else for ``max_tokens``. A chat
        takes text only; token ids are for completions.
        """
        wanted = self._max_tokens if length is None else length
        if prompt.output_tokens is not None:
            wanted = prompt.output_tokens
        content = prompt.content
        text = encode_basestring_ascii(content) if isinstance(content, str) else str(list(content))
        body = b"%b%b%b%d}" % (self._before, text.encode(), self._after, wanted)
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)


def shared_body(model: str, *, stream: bool, temperature: float | None, ignore_eos: bool) -> dict[str, object]:
    """Return the keys that all requests of a stretch share, apart from prompt and length.

    ``ignore_eos`` is vLLM's extension: output does not end before max_tokens. The key is left out if False, because
    other servers may refuse unknown keys.
    """
    body: dict[str, object] = {"model": model}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if temperature is not None:
        body["temperature"] = temperature
    if ignore_eos:
        body["ignore_eos"] = True
    return body
