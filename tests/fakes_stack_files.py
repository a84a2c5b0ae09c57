"""The repository's stack files as data, without Pulumi: importing its SDK takes longer than many tests."""

import pathlib
import typing

import yaml

ROOT = pathlib.Path(__file__).parent.parent
STACK_FILES = ("Pulumi.dev.yaml", "Pulumi.prod.yaml", "Pulumi.sample.yaml")
ACCOUNT = "111122223333"

EXISTING: typing.Final = {
    "cluster_name": "theirs",
    "oidc_provider_arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.ap-southeast-4.amazonaws.com/id/ABC",
    "context": "theirs",
    "file_system_id": "fs-0123456789abcdef0",
    "subnet_ids": ["subnet-0123456789abcdef0"],
    "security_group_ids": ["sg-0123456789abcdef0"],
    "instance_profile": "their-nodes",
}


def stack_config(file: str) -> dict[str, typing.Any]:
    """Return the ``config`` of a stack file as data."""
    loaded = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    config: dict[str, typing.Any] = loaded["config"]
    return config
