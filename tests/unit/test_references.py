"""Images and charts: how they are spelt, which there are, and what a registry's answer means."""

import pytest

from optimal_tp.account.preflight.images import folder, reachable, reference
from optimal_tp.account.questions import Answer, Unknown

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (
            "public.ecr.aws/neuron/vllm:0.9.1-neuronx",
            "https://public.ecr.aws/v2/neuron/vllm/manifests/0.9.1-neuronx",
        ),
        (f"public.ecr.aws/neuron/vllm@{DIGEST}", f"https://public.ecr.aws/v2/neuron/vllm/manifests/{DIGEST}"),
        (f"mirror:5000/a/b:1@{DIGEST}", f"https://mirror:5000/v2/a/b/manifests/{DIGEST}"),
        ("mirror:5000/a", "https://mirror:5000/v2/a/manifests/latest"),
        ("localhost/a:1", "https://localhost/v2/a/manifests/1"),
        ("python:3.11", "https://registry-1.docker.io/v2/library/python/manifests/3.11"),
        ("someone/image:1", "https://registry-1.docker.io/v2/someone/image/manifests/1"),
    ],
)
def test_an_image_is_asked_for_where_it_is_pulled(text: str, url: str) -> None:
    """Registry with a port, tag, digest before tag, and Docker Hub where no registry is named."""
    assert reference(text).manifest_url == url


@pytest.mark.parametrize(
    ("text", "spelt"),
    [("a.b/c:1", "a.b/c:1"), (f"a.b/c@{DIGEST}", f"a.b/c@{DIGEST}"), (f"a.b/c:1@{DIGEST}", f"a.b/c@{DIGEST}")],
)
def test_a_reference_is_written_as_it_is_pulled(text: str, spelt: str) -> None:
    """A digest decides, whatever tag stands before it."""
    assert str(reference(text)) == spelt


@pytest.mark.parametrize(
    ("registry", "ecr"),
    [
        ("123456789012.dkr.ecr.us-east-2.amazonaws.com", ("123456789012", "us-east-2")),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", ("123456789012", "cn-north-1")),
        ("public.ecr.aws", None),
        ("123456789012.dkr.ecr.us-east-2.amazonaws.com.evil.example", None),
    ],
)
def test_a_private_registry_of_amazon_is_told_by_its_name(registry: str, ecr: tuple[str, str] | None) -> None:
    """Only the whole name counts."""
    assert reference(f"{registry}/a:1").ecr == ecr


@pytest.mark.parametrize(
    ("answer", "state", "found"),
    [
        ((DIGEST,), "fine", f"there, {DIGEST}"),
        ((), "wrong", "no such manifest there"),
        (Unknown(reason="no network"), "unknown", "unknown: no network"),
    ],
)
def test_only_a_digest_is_fine(answer: Answer, state: str, found: str) -> None:
    """No network is unknown, never fine; absent is wrong."""
    row = reachable("image: vLLM", reference("a.b/c:1"), answer)

    assert (row.state, row.found, row.required) == (state, found, "a.b/c:1")
    assert bool(row.remedy) == (state != "fine")


def test_a_chart_in_a_folder_is_looked_for_there() -> None:
    """No registry is asked."""
    assert folder("chart: Neuron", "/charts/neuron", is_there=True).state == "fine"
    assert folder("chart: Neuron", "/charts/neuron", is_there=False).state == "wrong"
