"""``make destroy`` with a scripted ``pulumi``: destroy, then leftovers, then a plain sentence and an honest status."""

import os
import pathlib
import shutil
import subprocess

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.fakes_leftovers import listed, scope
from tests.fakes_stack_files import ROOT


def scripted(path: pathlib.Path, text: str) -> None:
    """Write a shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def destroy(folder: pathlib.Path, *, python: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``make destroy`` with ``folder`` first on PATH, and with the script ``python`` for the environment's."""
    words = [] if python is None else [f"BIN={folder}"]
    # A make that another make started (make test) names the folder it enters and leaves.
    outside_make = {
        name: value for name, value in os.environ.items() if name not in {"MAKELEVEL", "MAKEFLAGS", "MFLAGS"}
    }
    if python is not None:
        scripted(folder / "python", python)
    return subprocess.run(
        # The environment is there, however old its pins are.
        ["make", "-o", ".venv/dev.ready", "destroy", "STACK=dev", *words],  # noqa: S607 - make of the machine
        cwd=ROOT,
        env={**outside_make, "PATH": f"{folder}:{os.environ['PATH']}", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("leftovers", "status", "sentence"),
    [
        (
            0,
            0,
            "Destroyed dev; nothing is left that bills, except what you keep (docs/reference/leftovers.md).",
        ),
        (
            1,
            2,
            "Destroyed dev, but something that bills is left: the commands above remove it, or leftovers --remove.",
        ),
        (3, 2, "Destroyed dev; what is left could not be told in full: see above."),
        (5, 2, "Destroyed dev; what is left could not be told in full: see above."),
    ],
)
def test_the_last_sentence_is_what_leftovers_found(
    leftovers: int, status: int, sentence: str, tmp_path: pathlib.Path
) -> None:
    """Destroy comes first, then leftovers of the same stack; make's own status is 2 for every failure."""
    scripted(tmp_path / "pulumi", 'echo "pulumi $*"')
    ran = destroy(tmp_path, python=f'echo "python $*"; exit {leftovers}')

    assert ran.stdout.splitlines() == [
        "pulumi destroy --stack dev",
        "python -m optimal_tp leftovers --stack dev",
        sentence,
    ]
    assert ran.returncode == status
    assert leftovers == 0 or f"Error {leftovers}" in ran.stderr


def test_a_destroy_that_fails_says_what_may_still_bill(tmp_path: pathlib.Path) -> None:
    """Leftovers of half a destroy would be the stack itself: it is not asked for."""
    scripted(tmp_path / "pulumi", "exit 255")
    ran = destroy(tmp_path, python="echo never")

    assert ran.stdout.splitlines() == ["pulumi destroy did not end: run it again; until then nodes may bill."]
    assert ran.returncode == 2


def test_without_pulumi_nothing_is_said_to_bill(tmp_path: pathlib.Path) -> None:
    """A command that is not there has destroyed nothing, and running it again would not help."""
    (tmp_path / "make").symlink_to(shutil.which("make") or "")
    ran = destroy(tmp_path, python="echo never", PATH=str(tmp_path))

    assert ran.stdout.splitlines() == ["make destroy needs the pulumi command on PATH; nothing was destroyed."]
    assert ran.returncode == 2


def test_what_is_really_left_is_found(tmp_path: pathlib.Path) -> None:
    """The real command against an account with one address in it: its line, its command, and the sentence."""
    scripted(tmp_path / "pulumi", "exit 0")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        variables = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        ec2 = boto3.client(  # type: ignore[call-overload]
            "ec2",
            region_name="ap-southeast-4",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            **dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "testing"),
        )
        wanted = [{"ResourceType": "elastic-ip", "Tags": listed(scope("dev").settings.tags)}]
        made = ec2.allocate_address(Domain="vpc", TagSpecifications=wanted)["AllocationId"]
        ran = destroy(tmp_path, **variables)
    finally:
        server.stop()

    lines = ran.stdout.splitlines()
    assert (
        f"left: Elastic IP {made}: 3.65 USD a month; remove it with: aws ec2 release-address "
        f"--region ap-southeast-4 --allocation-id {made}"
    ) in lines
    # moto does not know the call for reservations, and its server answers with a page for people.
    assert "unknown: capacity reservations: ec2 sent an answer that AWS never sends: check for a proxy" in lines
    assert lines[-1].startswith("Destroyed dev, but something that bills is left")
    assert ran.returncode == 2
