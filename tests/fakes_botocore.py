"""AWS at the seam of botocore: real clients, real checks of parameters and answers, no socket."""

import collections.abc
import functools
import types
import typing

import boto3
import botocore.validate

Parsed = dict[str, typing.Any]
Planned = Parsed | str | collections.abc.Callable[[Parsed], Parsed | str | None]
"""A response, an error by its code, or either of them by the call's parameters; None hands the call on."""
Plan = dict[str, Planned]
"""By boto3's names: ``ec2.describe_vpcs``."""


class Account:
    """Makes clients whose calls end in ``plan``; ``calls`` are the operations that were asked for, as IAM spells them.

    An operation that is not planned is refused, or handed on to whoever stands behind (moto), as ``beyond`` says.
    """

    def __init__(self, plan: Plan, *, region: str, beyond: bool = False) -> None:
        self.plan, self.region, self.beyond = plan, region, beyond
        self.calls: set[tuple[str, str]] = set()
        """Signing name of the service and operation."""
        self.asked: set[str] = set()
        """The same as boto3 names them."""

    def __call__(self, service: str) -> typing.Any:
        """Return a client whose calls end here."""
        client, seat = _client(service, self.region)
        seat[0] = self
        return client

    def answer(self, name: str, asked: Parsed, model: typing.Any) -> object:
        """Return the response to one call, None to hand it on."""
        self.calls.add((model.service_model.signing_name, model.name))
        self.asked.add(name)
        if name not in self.plan:
            assert self.beyond, f"{name} is not planned"
            return None
        planned = self.plan[name]
        found = planned(asked) if callable(planned) else planned
        return None if found is None else _response(model, found)


@functools.cache
def session() -> boto3.session.Session:
    """Return one session for all: reading EC2's description takes most of a client's making."""
    return boto3.session.Session("x", "x", region_name="us-east-2")


@functools.cache
def client_of(service: str) -> typing.Any:
    """Return the one client of ``service`` for whoever stubs it."""
    return session().client(service)  # type: ignore[call-overload]


@functools.cache
def _client(service: str, region: str) -> tuple[typing.Any, list[Account]]:
    """Return a client and the seat of the account that answers it now."""
    client = session().client(service, region_name=region)  # type: ignore[call-overload]
    seat: list[Account] = [Account({}, region=region)]
    asked: dict[str, Parsed] = {}

    def keep(params: Parsed, model: typing.Any, **_: object) -> None:
        asked[model.name] = dict(params)

    def answer(model: typing.Any, **_: object) -> object:
        name = f"{service}.{botocore.xform_name(model.name)}"
        return seat[0].answer(name, asked[model.name], model)

    client.meta.events.register("provide-client-params.*", keep)
    client.meta.events.register("before-call.*", answer)
    return client, seat


def _response(model: typing.Any, found: Parsed | str) -> tuple[object, Parsed]:
    if isinstance(found, str):
        return types.SimpleNamespace(status_code=400), {"Error": {"Code": found, "Message": "planned"}}
    report = botocore.validate.ParamValidator().validate(found, model.output_shape)
    assert not report.has_errors(), f"{model.name}: {report.generate_report()}"
    return types.SimpleNamespace(status_code=200), found
