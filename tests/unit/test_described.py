"""What the settings say of themselves: schema, explanation, lines, and the stack file that init writes."""

import json
import pathlib
import re

import jsonschema
import pytest
import yaml

from optimal_tp.__main__ import main
from optimal_tp.cli.setup.profiles import profile_schema
from optimal_tp.local.profile import PROFILES
from optimal_tp.settings.described import schema
from optimal_tp.settings.described.fields import all_settings
from optimal_tp.settings.described.schema import PROFILE_SCHEMA, STACK_SCHEMA, as_text, stack_schema
from tests.fakes_stack_files import ROOT, STACK_FILES

FOLDER = pathlib.Path(schema.__file__).parent
ANSWERS = ["--zone", "ap-southeast-4c", "--network", "198.51.100.7/32", "--usd-per-hour", "2.25", "--budget-usd", "20"]


def test_the_schemas_are_fresh() -> None:
    """The files are what the models say."""
    assert (FOLDER / STACK_SCHEMA).read_text(encoding="utf-8") == as_text(stack_schema())
    assert (FOLDER / PROFILE_SCHEMA).read_text(encoding="utf-8") == as_text(profile_schema())


@pytest.mark.parametrize("file", STACK_FILES)
def test_the_stack_files_hold_to_their_schema(file: str) -> None:
    """And name it for editors."""
    text = (ROOT / file).read_text(encoding="utf-8")
    jsonschema.Draft7Validator(stack_schema()).validate(yaml.safe_load(text))

    assert text.startswith("# yaml-language-server: $schema=optimal_tp/settings/described/stack.schema.json\n")


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_profiles_hold_to_their_schema(path: pathlib.Path) -> None:
    """Likewise."""
    text = path.read_text(encoding="utf-8")
    jsonschema.Draft7Validator(profile_schema()).validate(yaml.safe_load(text))

    assert text.startswith("# yaml-language-server: $schema=../../settings/described/profile.schema.json\n")


@pytest.mark.parametrize("name", ["Pulumi.dev.yaml", "Pulumi.sample.yaml", "template/Pulumi.dev.yaml"])
def test_the_head_counts_what_is_to_be_replaced(name: str) -> None:
    """As many marks as it says, each behind a value."""
    text = (ROOT / name).read_text(encoding="utf-8")

    assert "Replace seven values, marked REPLACE" in text.partition("config:")[0]
    assert len(re.findall(r"^ +[\w:]+: \S.* # REPLACE", text, flags=re.MULTILINE)) == 7


@pytest.mark.parametrize(
    "change",
    [
        {"optimal-tp:infra": {"zones": ["ap-southeast-4c"], "colour": 1}},
        {"optimal-tp:spend": {"budget_usd": "much"}},
        {"optimal-tp:sped": {}},
    ],
    ids=["an unknown key", "text for a number", "an unknown section"],
)
def test_the_schema_refuses(change: dict[str, object]) -> None:
    """What the program refuses too."""
    data = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
    data["config"] |= change

    assert not jsonschema.Draft7Validator(stack_schema()).is_valid(data)


def test_every_setting_has_a_type_and_most_a_meaning() -> None:
    """A section's meaning is that of its class where the field says none."""
    found = all_settings()

    assert [each.key for each in found if each.type == "anything"] == []
    assert len([each for each in found if not each.meaning]) / len(found) < 0.1


def test_a_key_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Meaning, type, range, default and a snippet."""
    assert main(["settings", "explain", "infra.control_plane.key_deletion_days"]) == 0
    assert capsys.readouterr().out == (
        "infra.control_plane.key_deletion_days\n"
        "  How long the KMS key of the cluster's secrets can be brought back after destroy.\n"
        "  type:    whole number\n  range:   at least 7; at most 30\n  default: 7\n\n"
        "config:\n  optimal-tp:infra:\n    control_plane:\n      key_deletion_days: 7\n"
    )
    assert main(["settings", "explain", "infra.netwrk"]) == 2
    assert capsys.readouterr().err.endswith("(got 'infra.netwrk'); did you mean infra.network?\n")


def test_a_bad_key_is_told_with_its_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing key has the line of its section; a misspelt one has its own."""
    monkeypatch.chdir(tmp_path)
    text = (
        "config:\n  aws:region: us-east-2\n  optimal-tp:infra:\n    zones: [us-east-2a, us-east-2b]\n"
        "    network:\n      cidr: ten\n      nat_gatways: one\n    neuron:\n      zones: [us-east-2a]\n"
        "      capacity_types: [on-demand]\n"
    )
    pathlib.Path("Pulumi.x.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("OPTIMAL_TP_STACK", "x")
    monkeypatch.setenv("PATH", "")

    assert main(["settings", "check"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [
        (
            "Pulumi.x.yaml:6 infra.network.cidr: must be an IPv4 network between /16 and /20, for example "
            "10.42.0.0/16 (got 'ten')"
        ),
        (
            "Pulumi.x.yaml:7 infra.network.nat_gatways: must be one of cidr, existing, flow_log_days, nat_gateways "
            "(got 'nat_gatways'); did you mean nat_gateways?"
        ),
        "Pulumi.x.yaml:8 infra.neuron.price: must be set",
    ]


def test_init_writes_a_stack_file_that_passes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the schema beside it where there is no clone; a second time it refuses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")

    assert main(["init", *ANSWERS, "--reservation", "cr-0123456789abcdef0"]) == 0
    assert main(["settings", "check", "--stack", "dev", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"file": "Pulumi.dev.yaml", "valid": True}
    written = yaml.safe_load(pathlib.Path("Pulumi.dev.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(json.loads(pathlib.Path(STACK_SCHEMA).read_text(encoding="utf-8"))).validate(written)
    assert main(["init", *ANSWERS]) == 2
    assert "init never overwrites one (got 'dev'); Pulumi.dev.yaml exists" in capsys.readouterr().err


def test_init_without_answers_names_every_option(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """No terminal, no question."""
    assert main(["init", "--folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert [
        option for option in ("--zone", "--network", "--usd-per-hour") if f"{option}: must be set" not in said
    ] == []


def test_doctor_tells_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Only where credentials come from."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "not-a-key-at-all")

    assert main(["doctor", "--json"]) in {0, 1}
    said = capsys.readouterr().out
    rows = {row["check"]: row for row in json.loads(said)["rows"]}
    assert rows["AWS credentials"]["found"].startswith("AWS_ACCESS_KEY_ID")
    assert "not-a-key-at-all" not in said
