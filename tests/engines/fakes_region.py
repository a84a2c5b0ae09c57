"""AWS as Karpenter sees it: moto, and what moto lacks: capacity reservations and prices; on loopback."""

import collections.abc
import contextlib
import dataclasses
import datetime as dt
import io
import json
import threading
import typing
import urllib.parse
import wsgiref.types as wsgi
import xml.sax.saxutils

import boto3
import werkzeug
from moto.ec2.models import ec2_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.ssm.models import Parameter, ssm_backends
from werkzeug.serving import make_server

from optimal_tp.account.preflight.making import ami_parameter
from optimal_tp.settings.infra import InfraSettings

ACCOUNT = "123456789012"
"""Moto's own."""
KEYS: typing.Final = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}  # of moto, which asks for some
_VARIANTS = ("standard", "nvidia", "neuron")
_OTHERS: typing.Final = {"Shared": "t3.micro", "Dedicated": "m5.metal"}
"""Karpenter does not start unless each kind of tenancy has a price for something."""

Kind = typing.Literal["default", "capacity-block"]
Environment = dict[str, typing.Any]


class _Quiet(MotoRequestHandler):
    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reservation:
    """A capacity reservation with ``instances`` of one type, all of them free."""

    id: str
    instances: int
    zone: str
    instance_type: str
    kind: Kind

    def row(self) -> str:
        """Return what DescribeCapacityReservations says of it."""
        fields = {
            "capacityReservationId": self.id,
            "ownerId": ACCOUNT,
            "instanceType": self.instance_type,
            "availabilityZone": self.zone,
            "instanceMatchCriteria": "targeted",
            "availableInstanceCount": self.instances,
            "totalInstanceCount": self.instances,
            "state": "active",
            "reservationType": self.kind,
        }
        inner = "".join(f"<{key}>{xml.sax.saxutils.escape(str(value))}</{key}>" for key, value in fields.items())
        return f"<item>{inner}</item>"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Region:
    """Where the AWS of this test answers, and what is in it already."""

    name: str
    url: str
    subnets: list[str]
    """One in each zone of the stack."""
    group: str
    profile: str
    cluster: str

    def client(self, service: str) -> typing.Any:
        """Return a client of ``service``."""
        session = boto3.Session(**{name.lower(): value for name, value in KEYS.items()}, region_name=self.name)  # type: ignore[arg-type]
        return session.client(service, endpoint_url=self.url)  # type: ignore[call-overload]


def _prices(filters: collections.abc.Mapping[str, str], prices: collections.abc.Mapping[str, float]) -> str:
    """Answer Karpenter, which asks for a kind of tenancy at a time, or who asks for one type."""
    tenancy = filters.get("tenancy")
    found = {} if tenancy is None else {_OTHERS[tenancy]: 1.0}
    if tenancy != "Dedicated":
        found |= prices
    found = {kind: usd for kind, usd in found.items() if filters.get("instanceType", kind) == kind}
    rows = [
        json.dumps(
            {
                "product": {"attributes": {"instanceType": kind}},
                "terms": {
                    "OnDemand": {
                        "term": {"priceDimensions": {"hour": {"unit": "Hrs", "pricePerUnit": {"USD": str(usd)}}}}
                    }
                },
            }
        )
        for kind, usd in found.items()
    ]
    return json.dumps({"FormatVersion": "aws_v1", "PriceList": rows})


class _Aws:
    """Moto, with the two calls that it does not have answered first."""

    def __init__(self, reservations: collections.abc.Sequence[Reservation], prices: dict[str, float]) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._reservations, self._prices = reservations, prices

    def __call__(self, environ: Environment, start: wsgi.StartResponse) -> collections.abc.Iterable[bytes]:
        request = werkzeug.Request(environ)
        if request.headers.get("X-Amz-Target", "").endswith("PriceListService.GetProducts"):
            filters = {each["Field"]: each["Value"] for each in json.loads(request.get_data())["Filters"]}
            answer = werkzeug.Response(_prices(filters, self._prices), mimetype="application/x-amz-json-1.1")
            return answer(environ, start)
        body = request.get_data()
        form = urllib.parse.parse_qs(body.decode(errors="replace"))
        if form.get("Action") == ["DescribeCapacityReservations"]:
            wanted = [values[0] for key, values in form.items() if key.startswith("CapacityReservationId.")]
            rows = "".join(each.row() for each in self._reservations if each.id in wanted)
            name = "DescribeCapacityReservationsResponse"
            text = f"<{name}><capacityReservationSet>{rows}</capacityReservationSet></{name}>"
            return werkzeug.Response(text, mimetype="text/xml")(environ, start)
        environ["wsgi.input"] = io.BytesIO(body)
        found: collections.abc.Iterable[bytes] = self._moto(environ, start)
        return found


@contextlib.contextmanager
def region(
    settings: InfraSettings,
    *,
    reservations: collections.abc.Sequence[Reservation] = (),
    prices: collections.abc.Mapping[str, float] | None = None,
) -> collections.abc.Iterator[Region]:
    """Serve the region of ``settings``: subnets, a security group, an instance profile, a cluster, the AMI.

    ``prices`` are what AWS publishes, USD per hour by instance type.
    """
    # What moto keeps belongs to this process, not to a server of it.
    moto_api_backend.reset()
    server = make_server("127.0.0.1", 0, _Aws(reservations, dict(prices or {})), threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        empty = Region(
            name=settings.region,
            url=f"http://127.0.0.1:{server.server_port}",
            subnets=[],
            group="",
            profile="nodes",
            cluster="theirs",
        )
        yield _furnished(empty, settings)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _furnished(region: Region, settings: InfraSettings) -> Region:
    ec2, iam, eks = (region.client(name) for name in ("ec2", "iam", "eks"))
    # A region has some thousand types, which moto takes seconds to tell; the pool may have those of one family.
    backend = ec2_backends[ACCOUNT][region.name]
    backend.instance_types = [each for each in backend.instance_types if each["InstanceType"].startswith("trn")]
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{16 * number}.0/20", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in enumerate(settings.zones)
    ]
    role = iam.create_role(RoleName="nodes", AssumeRolePolicyDocument="{}")["Role"]
    iam.create_instance_profile(InstanceProfileName=region.profile)
    iam.add_role_to_instance_profile(InstanceProfileName=region.profile, RoleName="nodes")
    eks.create_cluster(
        name=region.cluster,
        roleArn=role["Arn"],
        resourcesVpcConfig={"subnetIds": subnets},
        kubernetesNetworkConfig={"serviceIpv4Cidr": "10.0.0.0/24"},
        version=settings.kubernetes,
    )
    for variant in _VARIANTS:
        image = ec2.register_image(Name=f"al2023-{variant}")["ImageId"]
        # RegisterImage drops the architecture, without which Karpenter passes an image over.
        backend.amis[image].architecture = "x86_64"
        name = ami_parameter(settings.neuron, settings.kubernetes).replace("neuron", variant)
        # PutParameter refuses names under /aws, as AWS does; these are AWS's own.
        ssm_backends[ACCOUNT][region.name]._parameters[name] = [_parameter(name, image)]
    group = ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc)["GroupId"]
    return dataclasses.replace(region, subnets=subnets, group=group)


def _parameter(name: str, value: str) -> typing.Any:
    # Through typing.Any: moto's own base class leaves two methods abstract that a parameter never needs.
    make: typing.Any = Parameter
    return make(
        account_id=ACCOUNT,
        name=name,
        value=value,
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=dt.datetime.now(tz=dt.UTC),
        version=1,
        data_type="text",
    )
