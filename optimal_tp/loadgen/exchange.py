"""One request in flight, and the sample that it becomes once it has ended."""

import asyncio
import collections
import dataclasses
import json
import typing

import orjson

from optimal_tp.errors import StorageFailed, quantity
from optimal_tp.measurement.samples import Sample, Stage, Status


def parsed(data: bytes) -> object:
    """Return the content of the JSON in ``data``; None if it is nested too deeply. Raises ValueError for other data.

    orjson takes a third of the json module's time, but refuses half a surrogate pair, which a server that cuts its
    text by UTF-16 units may send. The json module parses what orjson refuses.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        try:
            return json.loads(data.decode())
        except RecursionError:
            return None


_DETAIL_CHARACTERS = 300


class Exchange:
    """The record of one request, filled on the hot path and read later. Times are readings of the client's clock."""

    __slots__ = (
        "body",
        "deadline",
        "detail",
        "done",
        "end",
        "finished",
        "http_status",
        "intended",
        "number",
        "replica",
        "request",
        "retry_after",
        "sent",
        "slot",
        "status",
        "tokens",
        "usage",
    )

    def __init__(self, number: int, slot: int, replica: int, intended: float, request: bytes) -> None:
        """Create the record of a request that is not sent yet."""
        self.number = number
        self.slot = slot
        self.replica = replica
        self.intended = intended
        self.request = request
        self.sent: float | None = None
        self.deadline = 0.0
        self.end = 0.0
        self.tokens: list[float] = []
        """Reading of the clock at each chunk of the stream that brought output."""
        self.usage: dict[str, typing.Any] | None = None
        """The usage in the last event that has one."""
        self.body: list[bytes] | None = None
        """Pieces of a body that is not a stream."""
        self.done = False
        """True once ``data: [DONE]`` was read."""
        self.finished = False
        """True once the stream has sent a finish reason, or a usage after its output."""
        self.status: Status | None = None
        self.http_status: int | None = None
        self.retry_after: float | None = None
        self.detail: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The data that all samples of one stretch share."""

    stage: Stage
    degree: int
    max_num_seqs: int | None = None
    block: int | None
    concurrency: int | None
    rate_per_second: float | None
    seconds: float
    """The client's clock at the run's origin."""


def sample(exchange: Exchange, origin: Origin) -> Sample:
    """Return the sample of a finished ``exchange``; its body is parsed here, off the hot path."""
    status, detail = exchange.status or "closed_early", exchange.detail
    prompt_tokens = output_tokens = None
    if status == "ok":
        usage = exchange.usage if exchange.body is None else _usage(exchange.body)
        if usage is _NO_COMPLETION:
            status, detail = "bad_response", "the body is not a JSON object of a completion"
        elif usage is not None:
            prompt_tokens, output_tokens = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
            chunks = len(exchange.tokens)
            if output_tokens is not None and chunks > output_tokens:
                brought = quantity(chunks, "chunk", "chunks")
                detail = f"{brought} brought output where the server counted {output_tokens} tokens"
    elif status == "http_error" and exchange.body:
        text = b"".join(exchange.body)[:_DETAIL_CHARACTERS].decode(errors="replace")
        detail = f"{detail}: {text}"
    zero = origin.seconds
    return Sample(
        stage=origin.stage,
        degree=origin.degree,
        max_num_seqs=origin.max_num_seqs,
        block=origin.block,
        concurrency=origin.concurrency,
        rate_per_second=origin.rate_per_second,
        request=exchange.number,
        replica=exchange.replica,
        intended_seconds=exchange.intended - zero,
        sent_seconds=None if exchange.sent is None else exchange.sent - zero,
        token_seconds=_seconds(exchange.tokens, zero),
        end_seconds=exchange.end - zero,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        status=status,
        http_status=exchange.http_status,
        detail=detail,
    )


def _seconds(moments: list[float], zero: float) -> tuple[float, ...]:
    """Return ``moments``, ascending, as seconds from ``zero``."""
    if moments and moments[0] == moments[-1]:  # all came in one read
        return (moments[0] - zero,) * len(moments)
    return tuple([moment - zero for moment in moments])


_NO_COMPLETION: dict[str, typing.Any] = {}


def _usage(body: list[bytes]) -> dict[str, typing.Any] | None:
    """Return the usage in a body that is not a stream; None without one; _NO_COMPLETION if it is no completion."""
    try:
        answer = parsed(b"".join(body))
    except ValueError:
        return _NO_COMPLETION
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        return _NO_COMPLETION
    usage = answer.get("usage")
    return usage if isinstance(usage, dict) else None


def _count(value: object) -> int | None:
    return value if type(value) is int else None


OnSample = typing.Callable[[Sample], None]
_EVERY_SECONDS = 0.005
# Samples built at a time: 0.2 ms of work, so that no send waits longer; of a backlog this share, to bound memory.
_SLICE, _SLICES = 16, 16


class HandOver:
    """Builds one sample of every exchange that it receives, and hands each over once."""

    def __init__(self, on_sample: OnSample, origin: typing.Callable[[], Origin]) -> None:
        """``origin`` is called when the first exchange has ended."""
        self._on_sample = on_sample
        self._origin = origin
        self._ended: collections.deque[Exchange] = collections.deque()
        self.add = self._ended.append
        """Takes a finished exchange; on the hot path, so without a Python frame."""

    async def keep_up(self) -> None:
        """Hand over for ever; between two slices the event loop reads and sends. Raises what ``on_sample`` raises."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS if not self._ended else 0)
            self._some(max(_SLICE, len(self._ended) // _SLICES))

    def rest(self, failure: StorageFailed | None) -> None:
        """Hand over all remaining samples, even after a storage ``failure``, so that the lost ones are counted.

        Raises the last StorageFailed, which has counted all of them.
        """
        while self._ended:
            try:
                self._some(1)
            except StorageFailed as error:
                failure = error
        if failure is not None:
            raise failure

    def _some(self, most: int) -> None:
        for _ in range(min(most, len(self._ended))):
            self._on_sample(sample(self._ended.popleft(), self._origin()))
