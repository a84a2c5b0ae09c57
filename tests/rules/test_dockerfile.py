"""The Dockerfile is what the pods would otherwise set up themselves."""

import re

from optimal_tp.facts.versions import IMAGE_REGISTRY, PYTHON_IMAGE
from tests.fakes_stack_files import ROOT
from workloads.manifests.bundle import REQUIREMENTS
from workloads.manifests.python_pods import USER


def test_the_image_is_what_pods_set_up_themselves() -> None:
    """The same Python, the same requirements with their hashes, the same user."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    instructions = re.findall(r"^(FROM|COPY|USER) (.*)$", text, re.MULTILINE)

    assert dict(instructions) == {
        "FROM": f"{IMAGE_REGISTRY}/{PYTHON_IMAGE}",
        "COPY": f"{REQUIREMENTS} /tmp/requirements.txt",
        "USER": f"{USER}:{USER}",
    }
    assert "--require-hashes" in text
