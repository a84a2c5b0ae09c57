"""What preflight finds wrong, or cannot find out, and why AWS cannot be asked at all."""

import datetime as dt
import json
import typing
import unittest.mock

import boto3
import botocore.exceptions

from infra.account.inquiry import Clients, clients, require_account
from infra.account.questions import Unknown
from infra.preflight import launching, making
from infra.preflight.rows import Row
from infra.settings import InfraSettings, parse_infra
from tests.fakes_messages.stack_files import FILE
from tests.fakes_messages.told import Case
from tests.fakes_workloads import changed

NOW: typing.Final = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
DENIED: typing.Final = Unknown(reason="no right to ec2:Describe (UnauthorizedOperation)")


def settings(**changes: object) -> InfraSettings:
    """Return the stack file's infrastructure with ``changes``."""
    return parse_infra(changed(FILE, **changes)["optimal-tp:infra"], file=FILE)


def sentences(rows: Row | list[Row]) -> str:
    """Return the rows as a table has them, what is fine left out."""
    found = [rows] if isinstance(rows, Row) else rows
    bad = [row for row in found if row.state != "fine"]
    return "\n".join(f"{row.state}: {row.check}: {row.found}; {row.required}; {row.remedy}" for row in bad)


def reserved(**entry: object) -> str:
    """Hold a reservation with ``entry`` against two nodes of the stack file."""
    of = settings(infra__neuron__reservation_ids=["cr-1"]).neuron
    base = {
        "State": "active",
        "InstanceType": of.instance_type,
        "AvailabilityZone": of.zones[0],
        "TotalInstanceCount": 1,
        "AvailableInstanceCount": 1,
    }
    return sentences(launching.reservations(of, {"cr-1": ({**base, **entry},)}, NOW))


def priced() -> str:
    """Hold the price against a published one."""
    dimension = {"pricePerUnit": {"USD": "9.5"}}
    record = json.dumps({"terms": {"OnDemand": {"a": {"priceDimensions": {"b": dimension}}}}})
    return sentences(launching.price(settings().neuron, (record,)))


def refused(error: Exception) -> None:
    """Ask an account that answers with ``error`` who asks."""

    def make(_: str) -> typing.Any:
        return unittest.mock.Mock(get_caller_identity=unittest.mock.Mock(side_effect=error))

    require_account(typing.cast("Clients", make), "ap-southeast-4")


def code(name: str) -> Exception:
    """Return what boto3 raises for an error code."""
    return botocore.exceptions.ClientError({"Error": {"Code": name, "Message": "m"}}, "GetCallerIdentity")


def no_profile() -> None:
    """Ask with a profile that is not there."""
    error = botocore.exceptions.ProfileNotFound(profile="mine")
    with unittest.mock.patch.object(boto3.session, "Session", side_effect=error):
        clients("ap-southeast-4")


def paired() -> str:
    """Say what a pair of image and AMI that do not fit is told, however it came to be."""
    of = settings().neuron.model_copy(update={"ami_release": "v20260923"})
    return sentences(making.pair(of))


CASES: typing.Final[tuple[Case, ...]] = (
    lambda _: sentences(launching.offering(settings().neuron, "ap-southeast-4", ())),
    lambda _: sentences(launching.offering(settings().neuron, "ap-southeast-4", DENIED)),
    lambda _: sentences(launching.quota(settings().neuron, "on-demand", ({"Value": 0.0},))),
    lambda _: sentences(launching.quota(settings().neuron, "on-demand", ())),
    lambda _: sentences(launching.quota(settings().neuron, "on-demand", DENIED)),
    lambda _: sentences(launching.reservations(settings().neuron, {"cr-0123456789abcdef0": ()}, NOW)),
    lambda _: sentences(
        launching.reservations(settings(infra__neuron__reservation_ids=["cr-1"]).neuron, {"cr-1": ()}, NOW)
    ),
    lambda _: sentences(
        launching.reservations(settings(infra__neuron__reservation_ids=["cr-1"]).neuron, {"cr-1": DENIED}, NOW)
    ),
    lambda _: reserved(),
    lambda _: reserved(State="expired", EndDate=NOW),
    lambda _: priced(),
    lambda _: sentences(launching.price(settings().neuron, DENIED)),
    lambda _: sentences(making.ami(settings().neuron, "1.35", ())),
    lambda _: sentences(making.ami(settings().neuron, "1.35", DENIED)),
    lambda _: paired(),
    lambda _: sentences(making.kubernetes("1.35", (), NOW.date())),
    lambda _: sentences(making.kubernetes("1.35", ({},), NOW.date())),
    lambda _: sentences(making.kubernetes("1.35", DENIED, NOW.date())),
    lambda _: sentences(making.kubernetes("1.35", ({"endOfStandardSupportDate": NOW},), NOW.date())),
    lambda _: sentences(making.addon("coredns", "v1", "1.35", ({"addonVersions": [{"addonVersion": "v2"}]},))),
    lambda _: sentences(making.addon("coredns", None, "1.35", DENIED)),
    lambda _: sentences(
        making.name_free("the cluster", "optimal-tp-dev", ({},), "aws eks delete-cluster --name optimal-tp-dev")
    ),
    lambda _: sentences(making.name_free("the cluster", "optimal-tp-dev", DENIED, "-")),
    lambda _: sentences(making.networks(settings())),
    lambda _: sentences(making.command(None)),
    lambda _: refused(botocore.exceptions.NoCredentialsError()),
    lambda _: refused(code("SignatureDoesNotMatch")),
    lambda _: refused(code("UnrecognizedClientException")),
    lambda _: refused(code("AccessDenied")),
    lambda _: refused(botocore.exceptions.EndpointConnectionError(endpoint_url="https://sts")),
    lambda _: no_profile(),
)
