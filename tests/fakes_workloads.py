"""What AWS and Kubernetes would compute for the experiment's own resources, and one run of the program for tests."""

import copy
import functools
import typing

from tests.fakes_pulumi import ACCOUNT, Recording, run_main, stack_config

EXISTING: typing.Final = {
    "cluster_name": "theirs",
    "oidc_provider_arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.ap-southeast-4.amazonaws.com/id/ABC",
    "context": "theirs",
    "file_system_id": "fs-0123456789abcdef0",
    "subnet_ids": ["subnet-0123456789abcdef0"],
    "security_group_ids": ["sg-0123456789abcdef0"],
    "instance_profile": "their-nodes",
}


def changed(file: str, **changes: object) -> dict[str, typing.Any]:
    """Return ``file``'s config with keys set: ``infra__neuron__maximum_nodes=1`` goes three levels down."""
    config = copy.deepcopy(stack_config(file))
    for path, value in changes.items():
        section, *keys = path.split("__")
        if not keys:
            config[f"optimal-tp:{section}"] = value
            continue
        place = config.setdefault(f"optimal-tp:{section}", {})
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return config


def program(file: str = "Pulumi.dev.yaml", **changes: object) -> Recording:
    """Run the real ``__main__.py`` with ``file`` as it is but for ``changes``."""
    return run_main(changed(file, **changes), stack=file.split(".")[1])


@functools.cache
def seed_program() -> Recording:
    """Return one run of the dev stack as it is; shared, so nobody changes it."""
    return program()


@functools.cache
def equal_cores_program() -> Recording:
    """Return one run of the dev stack with equal cores on three nodes; shared."""
    return program(serving={"layout": "equal-cores"}, infra__neuron__maximum_nodes=3)


@functools.cache
def existing_program() -> Recording:
    """Return one run of the dev stack on a cluster that is there already; shared."""
    config = changed("Pulumi.dev.yaml", infra__existing=EXISTING)
    for key in ("network", "control_plane", "system_nodes", "addons"):
        config["optimal-tp:infra"].pop(key, None)
    return run_main(config, stack="dev")
