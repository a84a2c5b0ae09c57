"""Check that the caller can complete `up`: credentials, address, organization, logins. Pure."""

import datetime as dt
import ipaddress
import typing

from optimal_tp.account import questions
from optimal_tp.account.preflight.context import Credentials, Scene
from optimal_tp.account.preflight.images import charts
from optimal_tp.account.preflight.rows import Row, unknown
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.settings.infra import ControlPlane, InfraSettings

_PUBLIC_ECR: typing.Final = "public.ecr.aws"


def rows(scene: Scene) -> list[Row]:
    """Return a row for each check of the caller."""
    settings = scene.settings
    found = [session(scene.credentials, scene.experiment.up_hours, scene.now)]
    if settings.existing is not None:
        return found
    plane = settings.control_plane
    found.append(reached(plane, scene.address() if plane.public_access_cidrs else ()))
    found.append(dry_run(settings, scene.account, scene.ask(questions.ORGANIZATION)))
    if any(_PUBLIC_ECR in chart.reference(settings.registries.charts) for chart in charts(settings).values()):
        found.append(login(scene.logins(_PUBLIC_ECR)))
    return found


def session(credentials: Credentials, up_hours: float, now: dt.datetime) -> Row:
    """Compare the credentials' expiry with the length of `up`, which cannot change credentials half-way."""
    check, required = "expiry of the credentials", f"later than the {up_hours:.1f} h that `up` is expected to take"
    end, source = credentials.end, credentials.source
    if isinstance(end, Unknown):
        remedy = "use a profile, which renews them, or log in again just before `up`"
        return unknown(check, f"{source}: {end.reason}", required, remedy)
    if not isinstance(end, dt.datetime):
        told = {"none": "never", "renewed": "renewed automatically"}[end]
        return Row(check=check, state="fine", found=f"{source}: {told}", required=required)
    left = (end - now).total_seconds() / 3600
    found = f"{source}: {end.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC, in {max(left, 0):.1f} h"
    if left >= up_hours:
        return Row(check=check, state="fine", found=found, required=required)
    remedy = (
        "log in again just before `up` or request a longer session; a second `up` continues where the first stopped"
    )
    return Row(check=check, state="warning", found=found, required=required, remedy=remedy)


def reached(plane: ControlPlane, address: Answer) -> Row:
    """Say whether this machine's address may reach the API server."""
    check = "this machine reaches the API server"
    if not plane.public_access_cidrs:
        required = "in the VPC, or in a network that reaches it"
        remedy = "run `up` from such a network"
        return unknown(check, "the API server is private and the connection was not tried", required, remedy)
    required = f"in {', '.join(plane.public_access_cidrs)}"
    if isinstance(address, Unknown):
        remedy = "compare your own public address by hand"
        return unknown(check, f"not compared, {address.reason}", required, remedy)
    own = ipaddress.IPv4Address(address[0])
    if any(own in ipaddress.IPv4Network(cidr) for cidr in plane.public_access_cidrs):
        return Row(check=check, state="fine", found=str(own), required=required)
    remedy = f"add {own}/32 to infra.control_plane.public_access_cidrs, or run `up` from one of its networks"
    return Row(check=check, state="wrong", found=str(own), required=required, remedy=remedy)


def dry_run(settings: InfraSettings, account: str, organization: Answer) -> Row:
    """Say whether an organization's policy may forbid Karpenter's trial launches (dry runs).

    They do not name IMDSv2 and, before the first node pool, name other instance types (karpenter-provider-aws issues
    8190 and 9018, read 2026-11-27). A member account cannot read the policies.
    """
    check, required = "Karpenter's trial launches", "allowed by every policy of the organization or switched off"
    if not settings.karpenter_dry_run:
        return Row(check=check, state="fine", found="infra.karpenter_dry_run: false", required=required)
    if isinstance(organization, Unknown):
        return unknown(check, organization.reason, required)
    if not organization:
        return Row(check=check, state="fine", found="the account is in no organization", required=required)
    if str(organization[0].get("MasterAccountId", "")) == account:
        found = "the organization's management account, exempt from its policies"
        return Row(check=check, state="fine", found=found, required=required)
    found = f"a member of {organization[0].get('Id', 'an organization')}; it cannot read the policies"
    remedy = (
        "if a policy requires IMDSv2 or allows only some instance types, set infra.karpenter_dry_run: false; "
        "otherwise the node class never becomes ready"
    )
    return Row(check=check, state="warning", found=found, required=required, remedy=remedy)


def login(stores: Answer) -> Row:
    """Say whether Docker or Helm holds a login for Amazon ECR Public, which is refused once its 12 hours are over.

    Without a login anybody may pull the charts (karpenter-provider-aws issues 3441 and 6357).
    """
    check, required = f"login to {_PUBLIC_ECR}", "none or a fresh one"
    if isinstance(stores, Unknown):
        return unknown(check, stores.reason, required, f"check it by hand for {_PUBLIC_ECR}")
    if not stores:
        return Row(check=check, state="fine", found="none", required=required)
    remedy = f"docker logout {_PUBLIC_ECR}; helm registry logout {_PUBLIC_ECR}"
    return Row(check=check, state="warning", found=f"in {', '.join(stores)}", required=required, remedy=remedy)
