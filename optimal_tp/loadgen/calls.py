"""Single calls to a server, apart from the load: its health, its models, its count of tokens."""

import asyncio
import collections.abc
import dataclasses
import json
import time
import typing

from optimal_tp.errors import ServerFailed
from optimal_tp.loadgen import wire
from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.loadgen.pool import Bounds, Pool
from optimal_tp.loadgen.transport import Connector, TcpTransport
from optimal_tp.plan import prompts
from optimal_tp.plan.lengths import Shape
from optimal_tp.plan.prompts import Prompt

if typing.TYPE_CHECKING:
    # Every load imports this module, and the settings' library would take as long as the first request may.
    from optimal_tp.settings.workload import Api

_OK = 200
_UNKNOWN_PATH = {404, 405, 501}
REFUSED = {401, 403}
"""HTTP statuses of a server that asks for a key."""
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_SILENCE = ("no connection", "no complete response")
"""How the transport's words for a server that gave no answer begin."""


def is_silence(failure: str) -> bool:
    """Whether ``failure`` says that no answer came, for another reason than a certificate that is not trusted."""
    return _UNTRUSTED not in failure and any(words in failure for words in _SILENCE)


def way_in(failure: str) -> str:
    """Return the remedy for a server that does not list its models; ``failure`` says what came instead."""
    if _UNTRUSTED in failure:
        return "name its certificate with --ca-file"
    if any(f"HTTP status {status}" in failure for status in REFUSED):
        return "give the servers' key with --key-variable or --key-file"
    return "start the server, or correct its URL"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One entry of /v1/models."""

    name: str
    max_model_len_tokens: int | None
    """Prompt and output together; None if the server does not say."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completion:
    """The outcome of one completion."""

    http_status: int | None
    """None if no answer came."""
    streamed: bool
    failure: str | None
    """The failure, with the server's own message; None on success."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """One server that answers single calls."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float = 10
    transport: Connector = dataclasses.field(default_factory=TcpTransport)

    async def healthy(self) -> bool:
        """Return whether GET /health answers 200; False if nothing answers.

        A server that answers but has no such path is asked for its models instead.
        """
        exchange = await self._ask("GET", "/health", None)
        if exchange.http_status in _UNKNOWN_PATH:
            exchange = await self._ask("GET", "/v1/models", None)
        return exchange.http_status == _OK and exchange.status == "ok"

    async def models(self) -> tuple[ServedModel, ...]:
        """Return what GET /v1/models lists. Raises ServerFailed for any other answer."""
        answer = await self._json("GET", "/v1/models", None)
        entries = answer.get("data")
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in entries
        ):
            raise ServerFailed(f"{self.url}/v1/models must answer a list of models; use an OpenAI-compatible server")
        return tuple(
            ServedModel(name=entry["id"], max_model_len_tokens=_count(entry.get("max_model_len"))) for entry in entries
        )

    async def exposition(self) -> str | None:
        """Return the answer of GET /metrics; None if it fails, "" if the server does not offer this path."""
        exchange = await self._ask("GET", "/metrics", None)
        if exchange.http_status in _UNKNOWN_PATH | REFUSED:
            return ""
        if exchange.status != "ok":
            return None
        return b"".join(exchange.body or []).decode(errors="replace")

    async def tokens(self, model: str, text: str) -> tuple[int, ...] | None:
        """Return the ids of ``text``'s tokens by vLLM's POST /tokenize; None if the server has no such call.

        Also None for a tokenizer that knows none of the words and gives all of them one id.
        """
        ids = await self._tokenized({"model": model, "prompt": text, "add_special_tokens": False})
        return ids if ids is not None and len(set(ids)) > 1 else None

    async def template_tokens(self, model: str, text: str) -> int | None:
        """Return how many tokens the server's chat template adds to a message ``text``, by POST /tokenize.

        None if the server has no such call, or no template.
        """
        plain = await self._tokenized({"model": model, "prompt": text, "add_special_tokens": False})
        messages = [{"role": "user", "content": text}]
        whole = await self._tokenized({"model": model, "messages": messages, "add_generation_prompt": True})
        return None if plain is None or whole is None else max(0, len(whole) - len(plain))

    async def _tokenized(self, body: dict[str, object]) -> tuple[int, ...] | None:
        exchange = await self._ask("POST", "/tokenize", body)
        if exchange.status != "ok":
            return None
        try:
            answer = json.loads(b"".join(exchange.body or []))
        except ValueError:
            return None
        ids = answer.get("tokens") if isinstance(answer, dict) else None
        if not isinstance(ids, list) or not all(type(token) is int for token in ids):
            return None
        return tuple(ids)

    async def complete(
        self, shared: typing.Mapping[str, object], prompt: Prompt, *, max_tokens: int, api: "Api" = "completions"
    ) -> Completion:
        """Return the completion of ``prompt``; ``shared`` are the body's other keys, from ``wire.shared_body``."""
        where = wire.address(self.url)
        writer = wire.RequestWriter(where, shared, max_tokens=max_tokens, headers=self.headers, api=api)
        exchange = await self._answered(where, writer.request(prompt), most_chunks=4 * max_tokens + 64)
        failure = exchange.detail
        if exchange.status == "http_error":
            failure = f"HTTP status {exchange.http_status}: {_said(b''.join(exchange.body or []))}"
        elif exchange.status != "ok":
            failure = failure or str(exchange.status)
        return Completion(http_status=exchange.http_status, streamed=exchange.body is None, failure=failure)

    async def _json(self, method: str, path: str, body: dict[str, object] | None) -> dict[str, typing.Any]:
        exchange = await self._ask(method, path, body)
        raw = b"".join(exchange.body or [])
        if exchange.status != "ok":
            said = raw[:300].decode(errors="replace")
            raise ServerFailed(f"{self.url}{path} failed: {exchange.detail}{': ' if said else ''}{said}")
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ServerFailed(
                f"{self.url}{path} must answer a JSON object (got {raw[:100]!r}); use an OpenAI-compatible server"
            )
        return answer

    async def _ask(self, method: str, path: str, body: dict[str, object] | None) -> Exchange:
        where = wire.address(self.url)
        content = b"" if body is None else json.dumps(body).encode()
        request = wire.head(where, method, path, self.headers, len(content)) + content
        return await self._answered(where, request, most_chunks=1)

    async def _answered(self, where: wire.Address, request: bytes, *, most_chunks: int) -> Exchange:
        ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        pool = Pool(
            self.transport,
            [where],
            time.perf_counter,
            ended.set_result,
            Bounds(timeout_seconds=self.timeout_seconds, max_in_flight=None, chunks=most_chunks),
        )
        pool.submit(Exchange(0, 0, 0, time.perf_counter(), request))
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=0.1)
                pool.sweep()
        finally:
            pool.stop(0)
            pool.sweep()
            await pool.close()
        return ended.result()


def _said(body: bytes) -> str:
    """Return the error message in an answer, wherever such servers put it; without one, the start of the answer."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        inner = answer.get("error")
        for holder in (inner if isinstance(inner, dict) else {}, answer):
            for name in ("message", "detail", "error"):
                if isinstance(said := holder.get(name), str) and said:
                    return said[:300]
    return body[:300].decode(errors="replace") or "without a message"


async def random_prompts(
    server: Server,
    model: str,
    tokens: int,
    *,
    api: "Api",
    seed: int,
    shapes: collections.abc.Sequence[Shape] | None = None,
) -> prompts.Prompts:
    """Return random prompts in tokens of ``server``: of ``tokens`` each, or with the sizes in ``shapes``."""
    text = " ".join(prompts.WORDS)
    if api == "chat":
        added = await server.template_tokens(model, text) or 0
        if shapes is None:
            return prompts.chat(tokens, seed=seed, template_tokens=added)
        return prompts.recorded(None, shapes, seed=seed, template_tokens=added)
    ids = await server.tokens(model, text)
    return prompts.synthetic(ids, tokens, seed=seed) if shapes is None else prompts.recorded(ids, shapes, seed=seed)


def _count(value: object) -> int | None:
    return value if type(value) is int else None
