"""Problems of a cluster's first `up` alone, such as a private API server in a VPC that does not exist yet."""

from optimal_tp.errors import Problem
from optimal_tp.settings.infra import InfraSettings


def is_closed(settings: InfraSettings) -> bool:
    """Return whether the first `up` cannot reach the API server, which is private in a VPC that does not exist yet."""
    is_made = settings.existing is None and settings.network.existing is None
    return is_made and not settings.control_plane.public_access_cidrs


def is_role_of(caller_arn: str, role_arn: str) -> bool:
    """Return whether ``caller_arn`` is a session of the role. A session's ARN has the role's name without its path."""
    service, _, rest = caller_arn.rpartition(":assumed-role/")
    account = service.rsplit(":", maxsplit=1)[-1]
    name = role_arn.rsplit("/", maxsplit=1)[-1]
    return bool(service) and f"::{account}:role/" in role_arn and rest.split("/")[0] == name


CLOSED = "must name a network at the first `up`: this `up` creates the VPC, so nobody is inside it yet"
CLOSED_REMEDY = (
    "name the networks you work from and remove them once you reach the VPC in another way, or use an existing VPC "
    "(infra.network.existing)"
)
ENTERED = "must not be the role that creates the cluster: EKS gives it access and refuses a second entry"
ENTERED_REMEDY = "remove it; that role already administers the cluster"


def problems(settings: InfraSettings, *, caller_arn: str, stack: str) -> list[Problem]:
    """Return the problems that would stop a first `up` by ``caller_arn`` half-way; none of them stops a later one.

    ``stack`` names its file.
    """
    where, file = "infra.control_plane", f"Pulumi.{stack}.yaml"
    found = []
    if is_closed(settings):
        path = f"{where}.public_access_cidrs"
        found.append(Problem(path=path, value=[], rule=CLOSED, remedy=CLOSED_REMEDY, file=file))
    for index, arn in enumerate(settings.control_plane.admin_role_arns):
        if settings.existing is None and is_role_of(caller_arn, arn):
            path = f"{where}.admin_role_arns[{index}]"
            found.append(Problem(path=path, value=arn, rule=ENTERED, remedy=ENTERED_REMEDY, file=file))
    return found
