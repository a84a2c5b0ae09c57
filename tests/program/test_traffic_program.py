"""A trace travels into the cluster with the order, and the order names it where the pod has it."""

import pathlib
import re

import pytest

from optimal_tp.errors import SettingsError
from tests.fakes_samples import whole
from tests.fakes_workloads import program

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def test_a_trace_is_beside_the_order(tmp_path: pathlib.Path) -> None:
    """As a table of lengths, in the ConfigMap that the pod mounts."""
    (tmp_path / "my trace.csv").write_text(f"{HEADER}2023-11-16 18:17:03,40,10\n2023-11-16 18:17:05,500,8\n")
    made = program(workloads__load={"trace": str(tmp_path / "my trace.csv")})
    data = made.one("ConfigMap loadgen-settings").inputs["data"]
    (name,) = data.keys() - {"order.json"}

    assert re.fullmatch(r"my-trace-[0-9a-f]{8}\.csv", name)
    assert data[name] == "seconds,prompt_tokens,output_tokens\n0.000,40,10\n2.000,500,8\n"
    assert f'"trace": "/etc/optimal-tp/{name}"' in data["order.json"]


def test_a_trace_that_cannot_be_read_ends_the_preview(tmp_path: pathlib.Path) -> None:
    """Before anything is made."""
    path = tmp_path / "none.csv"
    sentence = (
        "Pulumi.dev.yaml workloads.load.trace: must name a readable file (No such file or directory) "
        f"(got '{path}'); name another file"
    )
    with pytest.raises(SettingsError, match=whole(sentence)):
        program(workloads__load={"trace": str(path)})
