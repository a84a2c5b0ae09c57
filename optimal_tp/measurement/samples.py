"""One record per request: what was planned, what happened and when; stored as JSON Lines."""

import dataclasses
import json
import math
import types
import typing

Stage = typing.Literal["warm_up", "idle", "rising", "block", "proof", "held_out", "steady", "load", "cut"]
"""What a request belongs to: ``rising`` is the bracket, ``proof`` follows the choice, ``held_out`` tests a prediction,
``cut`` is the measured part of a turn during which the process ended; that turn was taken again."""
Status = typing.Literal[
    "ok", "timeout", "refused", "closed_early", "http_error", "bad_response", "cancelled", "no_socket"
]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One request. Times are seconds on one monotonic clock, from the run's origin."""

    __pydantic_config__: typing.ClassVar = types.MappingProxyType({"allow_inf_nan": False, "extra": "forbid"})
    """Used when samples are read. A load only writes them, and imports no pydantic."""
    stage: Stage
    degree: int
    block: int | None
    """Number of the block, from 0; None outside blocks."""
    concurrency: int | None
    """Requests kept in flight in this stretch; None with open arrivals."""
    rate_per_second: float | None
    """Planned arrival rate; None in a closed loop."""
    request: int
    """Number of the request in its stretch, from 0, in order of intended send."""
    max_num_seqs: int | None = None
    """The batch of the servers, where the run compares several at this degree; None otherwise."""
    replica: int = 0
    """Number of the server that answered, from 0, among those of its degree."""
    intended_seconds: float
    """When the plan wanted it sent; its latency counts from here."""
    sent_seconds: float | None
    """When its first byte was written; None if it never was."""
    token_seconds: tuple[float, ...]
    """Arrival of each chunk that brought output (docs/decisions/0022), ascending; empty without streaming."""
    end_seconds: float
    """Last byte, or the moment of failure."""
    prompt_tokens: int | None
    """As the server counted; None where it did not say."""
    output_tokens: int | None
    """As the server counted; None where it did not say."""
    status: Status
    http_status: int | None
    detail: str | None = None
    """What failed, in words. For ``ok``: None, or why the times of its tokens are wrong."""

    @property
    def begun_seconds(self) -> float:
        """``sent``; ``intended`` if it was never sent."""
        return self.intended_seconds if self.sent_seconds is None else self.sent_seconds

    @property
    def total_latency_ms(self) -> float | None:
        """``1000 * (end - intended)``; None for a failure."""
        return 1000 * (self.end_seconds - self.intended_seconds) if self.status == "ok" else None

    @property
    def latency_from_send_ms(self) -> float | None:
        """``1000 * (end - sent)``; None for a failure."""
        if self.status != "ok" or self.sent_seconds is None:
            return None
        return 1000 * (self.end_seconds - self.sent_seconds)

    @property
    def schedule_delay_ms(self) -> float | None:
        """``1000 * (sent - intended)``; None if it was never sent."""
        return None if self.sent_seconds is None else 1000 * (self.sent_seconds - self.intended_seconds)

    @property
    def ttft_ms(self) -> float | None:
        """``1000 * (first token - intended)``; None for a failure or without streaming."""
        if self.status != "ok" or not self.token_seconds:
            return None
        return 1000 * (self.token_seconds[0] - self.intended_seconds)

    @property
    def tpot_ms(self) -> float | None:
        """``1000 * (last token - first token) / (output tokens - 1)``; None where that has no meaning."""
        if self.status != "ok" or not self.token_seconds or self.output_tokens is None or self.output_tokens < 2:  # noqa: PLR2004
            return None
        return 1000 * (self.token_seconds[-1] - self.token_seconds[0]) / (self.output_tokens - 1)


_DIGITS = 6


def brief(sample: Sample) -> Sample:
    """Return the part of ``sample`` that decisions use: of its tokens the first and last time, rounded as on the disk.

    The disk holds microseconds. A run that continues after its process died must decide from the disk as it decided
    before, so no decision may use more than the disk holds.
    """
    sent, tokens = sample.sent_seconds, sample.token_seconds
    ends = tokens if len(tokens) < 2 else (tokens[0], tokens[-1])  # noqa: PLR2004
    # Field by field: ``dataclasses.replace`` takes three times as long, and every request spends this time.
    return Sample(
        stage=sample.stage,
        degree=sample.degree,
        block=sample.block,
        concurrency=sample.concurrency,
        rate_per_second=sample.rate_per_second,
        request=sample.request,
        max_num_seqs=sample.max_num_seqs,
        replica=sample.replica,
        intended_seconds=round(sample.intended_seconds, _DIGITS),
        sent_seconds=None if sent is None else round(sent, _DIGITS),
        token_seconds=tuple([round(moment, _DIGITS) for moment in ends]),
        end_seconds=round(sample.end_seconds, _DIGITS),
        prompt_tokens=sample.prompt_tokens,
        output_tokens=sample.output_tokens,
        status=sample.status,
        http_status=sample.http_status,
        detail=sample.detail,
    )


_NULL = "null"


def encode(sample: Sample) -> str:
    """Return ``sample`` as one line of JSON without the line's end; times rounded to microseconds.

    The line is put together by hand: with the json module this would be the most expensive step of a request.
    Raises ValueError for a time or rate that is not a finite number.
    """
    sent, rate, status = sample.sent_seconds, sample.rate_per_second, sample.http_status
    block, slots, prompt, output = sample.block, sample.concurrency, sample.prompt_tokens, sample.output_tokens
    times = (
        f'"intended_seconds":{sample.intended_seconds:.6f},'
        f'"sent_seconds":{_NULL if sent is None else f"{sent:.6f}"},'
        f'"token_seconds":[{_moments(sample.token_seconds)}],'
        f'"end_seconds":{sample.end_seconds:.6f},'
    )
    if "nan" in times or "inf" in times or (rate is not None and not math.isfinite(rate)):
        raise ValueError(f"request {sample.request} has a time or rate that is not a finite number")
    batch = "" if sample.max_num_seqs is None else f'"max_num_seqs":{sample.max_num_seqs},'
    return (
        f'{{"stage":"{sample.stage}","degree":{sample.degree},{batch}"block":{_NULL if block is None else block},'
        f'"concurrency":{_NULL if slots is None else slots},"rate_per_second":{_NULL if rate is None else repr(rate)},'
        f'"request":{sample.request},"replica":{sample.replica},{times}'
        f'"prompt_tokens":{_NULL if prompt is None else prompt},"output_tokens":{_NULL if output is None else output},'
        f'"status":"{sample.status}","http_status":{_NULL if status is None else status},'
        f'"detail":{_NULL if sample.detail is None else json.dumps(sample.detail)}}}'
    )


def _moments(tokens: tuple[float, ...]) -> str:
    """Return ``tokens`` with commas between them; where one read brought all, they are equal and formatted once."""
    if tokens and tokens.count(tokens[0]) == len(tokens):
        return (f"{tokens[0]:.6f}," * len(tokens))[:-1]
    return ("%.6f," * len(tokens))[:-1] % tokens
