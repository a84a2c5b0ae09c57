"""A stack's configuration through Pulumi and out of its file, and what of it is never printed."""

import json
import pathlib
import typing

import pytest

from optimal_tp.errors import CapacityError, Problem, SettingsError
from optimal_tp.settings.stack_config import StackConfig, stack_config

FILE = """\
config:
  aws:region: ap-southeast-4
  optimal-tp:infra: { cluster_name: from-file }
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a project's folder with the file of the stack dev."""
    (tmp_path / "Pulumi.yaml").write_text("name: mine\n", encoding="utf-8")
    (tmp_path / "Pulumi.dev.yaml").write_text(FILE, encoding="utf-8")
    return tmp_path


def pulumi(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a ``pulumi`` in place that does what ``script`` says; it writes down with which words it was called."""
    path = folder / "pulumi"
    path.write_text(f'#!/bin/sh\necho "$*" > {folder}/words\n{script}\n', encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setattr("optimal_tp.settings.stack_config.COMMAND", str(path))


def answered(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, entries: object) -> None:
    """Let ``pulumi config`` answer with ``entries``."""
    (folder / "answer").write_text(json.dumps(entries), encoding="utf-8")
    pulumi(folder, monkeypatch, f"cat {folder}/answer")


def refusal(name: str, folder: pathlib.Path) -> str:
    """Return the sentence with which the stack is refused."""
    with pytest.raises(SettingsError) as refused:
        stack_config(name, folder)
    return str(refused.value)


def test_pulumi_tells_where_it_is_there(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects as such, a section that was set as text by its JSON; environments and secrets are in its answer."""
    entries = {
        "aws:region": {"value": "ap-southeast-4", "secret": False},
        "aws:profile": {"value": "work", "secret": False},
        "optimal-tp:infra": {"value": "{}", "objectValue": {"cluster_name": "from-pulumi"}, "secret": False},
        "optimal-tp:spend": {"value": '{"budget_usd": 20}', "secret": False},
    }
    answered(folder, monkeypatch, entries)
    found = stack_config("organization/mine/dev", folder)

    assert found.sections == {
        "infra": {"cluster_name": "from-pulumi"},
        "workloads": None,
        "serving": None,
        "loadtest": None,
        "spend": {"budget_usd": 20},
    }
    assert (found.profile, found.file, found.secrets) == ("work", "Pulumi.dev.yaml", frozenset())
    assert (folder / "words").read_text(encoding="utf-8").split() == [
        *("config", "--json", "--show-secrets", "--non-interactive", "--stack", "organization/mine/dev"),
    ]


def test_without_pulumi_the_file_tells(folder: pathlib.Path) -> None:
    """Also under the stack's whole name, whose last part names the file."""
    for name in ("dev", "organization/mine/dev"):
        assert stack_config(name, folder).sections["infra"] == {"cluster_name": "from-file"}


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo error: no stack named dev >&2; exit 255", "pulumi config failed: error: no stack named dev"),
        ("echo '[]'", "pulumi config failed: it printed no JSON object"),
        ("echo nonsense", "the pulumi command did not answer with JSON"),
    ],
)
def test_where_pulumi_does_not_tell_the_file_does_and_it_is_said(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    """A stack that is not made yet has a file all the same."""
    pulumi(folder, monkeypatch, script)
    found = stack_config("dev", folder)

    assert (found.sections["infra"], found.why_the_file) == ({"cluster_name": "from-file"}, why)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("  optimal-tp:loadtest: { alarms: { topic_arn: { secure: v1:abc } } }\n", "config.optimal-tp:loadtest"),
        ("environment: [team/dev]\n", "environment"),
    ],
    ids=["secret", "environment"],
)
def test_what_only_pulumi_can_read_is_refused_without_it(folder: pathlib.Path, more: str, what: str) -> None:
    """In one sentence, where pydantic would speak of a dictionary."""
    (folder / "Pulumi.dev.yaml").write_text(FILE + more, encoding="utf-8")

    assert refusal("dev", folder) == (
        f"--stack: must be readable, but only Pulumi can read its secrets and ESC environments ({what}): the pulumi "
        "command is not on PATH (got 'dev'); run it where `pulumi config` works"
    )


def test_a_key_that_stands_twice_is_refused(folder: pathlib.Path) -> None:
    """YAML would let the last one win without a word."""
    (folder / "Pulumi.dev.yaml").write_text(FILE + "  aws:region: us-east-2\n", encoding="utf-8")

    assert "'aws:region' appears twice" in refusal("dev", folder)


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("optimal-tp:loadTest", "did you mean optimal-tp:loadtest?"),
        ("optimal-tp:servings", "did you mean optimal-tp:serving?"),
        ("optimal_tp:spend", "did you mean optimal-tp:spend?"),
        ("workloads", "did you mean optimal-tp:workloads?"),
        ("mine:workloads", "did you mean optimal-tp:workloads?"),
        (
            "optimal-tp:spend.budget_usd",
            "put it below optimal-tp:spend: pulumi config set --path optimal-tp:spend.budget_usd",
        ),
        ("optimal-tp:hubToken", "did you mean optimal-tp:hub_token?"),
        ("optimal-tp:colour-of-the-bikeshed", ""),
    ],
)
def test_no_key_of_ours_is_passed_over(folder: pathlib.Path, key: str, remedy: str) -> None:
    """Another section, a flat key, no name or the project's own before it."""
    (folder / "Pulumi.dev.yaml").write_text(FILE + f"  {key}: {{ a: 1 }}\n", encoding="utf-8")

    assert refusal("dev", folder) == (
        f"Pulumi.dev.yaml {key}: must be one of optimal-tp:infra, optimal-tp:workloads, optimal-tp:serving, "
        f"optimal-tp:loadtest, optimal-tp:spend, optimal-tp:hub_token{'; ' if remedy else ''}{remedy}"
    )


@pytest.mark.parametrize("by_pulumi", [False, True])
@pytest.mark.parametrize(
    "key", ["optimal-tp:workloads", "workloads", "infra", "optimal-tp:colour", "mine:spend", "aws:profile"]
)
def test_no_key_beside_config_is_passed_over(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, key: str, *, by_pulumi: bool
) -> None:
    """Pulumi reads nothing there, so its answer does not tell; the file is looked at beside it."""
    (folder / "Pulumi.dev.yaml").write_text(FILE + f"{key}: {{ a: 1 }}\n", encoding="utf-8")
    if by_pulumi:
        answered(folder, monkeypatch, {"optimal-tp:infra": {"value": "{}", "secret": False}})

    assert refusal("dev", folder) == (
        f"Pulumi.dev.yaml:4 {key}: must be under config:, because Pulumi reads nothing else; indent it and the lines "
        "below it by two spaces"
    )


def test_what_is_misplaced_is_not_missing_too(folder: pathlib.Path) -> None:
    """One mistake, one sentence."""
    (folder / "Pulumi.dev.yaml").write_text("optimal-tp:infra:\n  zones: []\n", encoding="utf-8")

    assert [line.split(": ")[0] for line in refusal("dev", folder).splitlines()] == [
        "Pulumi.dev.yaml:1 optimal-tp:infra"
    ]


def test_pulumis_own_keys_are_beside_config(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets, and environments."""
    more = "secretsprovider: passphrase\nencryptionsalt: v1:abc\nenvironment: [team/dev]\n"
    (folder / "Pulumi.dev.yaml").write_text(FILE + more, encoding="utf-8")
    answered(folder, monkeypatch, {"optimal-tp:infra": {"value": "{}", "secret": False}})

    assert stack_config("dev", folder).sections["infra"] == {}


def test_keys_of_others_are_theirs(folder: pathlib.Path) -> None:
    """Providers have settings of their own."""
    more = "  aws:defaultTags: { tags: { a: b } }\n  kubernetes:suppressDeprecationWarnings: true\n"
    (folder / "Pulumi.dev.yaml").write_text(FILE + more, encoding="utf-8")

    assert stack_config("dev", folder).values["kubernetes:suppressDeprecationWarnings"] is True


@pytest.fixture
def secretive(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> StackConfig:
    """Return a configuration whose infra holds a secret."""
    infra = {"cluster_name": "hush-hush", "tags": {"n": 471100}, "zones": ["a"]}
    answered(folder, monkeypatch, {"optimal-tp:infra": {"value": "", "objectValue": infra, "secret": True}})
    return stack_config("dev", folder)


def test_a_secret_is_used_and_not_printed(secretive: StackConfig) -> None:
    """Which part is one Pulumi does not tell, so every text of the key counts; what is short stands everywhere."""
    assert typing.cast("dict[str, object]", secretive.sections["infra"])["cluster_name"] == "hush-hush"
    assert secretive.hide("hush-hush costs 471100 a day") == "[secret] costs [secret] a day"


def test_an_error_does_not_tell_a_secret(secretive: StackConfig) -> None:
    """Neither the value that broke the rule nor one that a sentence names."""
    problem = Problem(path="infra.cluster_name", value="hush-hush", rule="not hush-hush", remedy="drop hush-hush")

    assert str(secretive.hidden(SettingsError([problem]))) == (
        "infra.cluster_name: not [secret] (got '[secret]'); drop [secret]"
    )
    assert str(secretive.hidden(CapacityError("hush-hush is full"))) == "[secret] is full"
