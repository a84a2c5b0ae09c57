"""What the settings say of themselves: schema, explanation, lines, and the stack file that init writes."""

import json
import pathlib
import re
import shutil

import jsonschema
import pytest
import yaml

from optimal_tp.__main__ import main
from optimal_tp.cli.setup.settings import profile_schema
from optimal_tp.facts.versions import PAIRS
from optimal_tp.local.profile import PROFILES
from optimal_tp.settings.described import schema
from optimal_tp.settings.described.fields import all_settings
from optimal_tp.settings.described.schema import STACK_SCHEMA, as_text, stack_schema
from tests.fakes_stack_files import EXISTING, ROOT, STACK_FILES

FOLDER = pathlib.Path(schema.__file__).parent
ANSWERS = ["--zone", "ap-southeast-4c", "--network", "198.51.100.7/32", "--usd-per-hour", "2.25", "--budget-usd", "20"]


def test_the_schemas_are_fresh() -> None:
    """The files are what the models say."""
    assert (FOLDER / STACK_SCHEMA).read_text(encoding="utf-8") == as_text(stack_schema())
    assert (FOLDER / "profile.schema.json").read_text(encoding="utf-8") == as_text(profile_schema())


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


@pytest.mark.parametrize(
    ("existing", "is_valid"),
    [
        ({"context": "lab", "stack": "acme/platform/prod"}, True),
        ({"context": "lab", "stack": "acme/platform/prod", "cluster_name": "lab"}, True),
        ({"context": "lab", **EXISTING}, True),
        ({"context": "lab"}, False),
        ({"context": "lab", "cluster_name": "lab"}, False),
        ({"context": "lab", "stack": "prod"}, False),
    ],
    ids=["a stack", "a stack and an id", "every id", "neither", "one id", "no stack's full name"],
)
def test_a_stack_stands_in_for_the_ids_of_a_cluster(existing: dict[str, object], *, is_valid: bool) -> None:
    """Whose outputs are asked for what the file leaves out."""
    data = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
    infra = data["config"]["optimal-tp:infra"]
    data["config"]["optimal-tp:infra"] = {"zones": infra["zones"], "neuron": infra["neuron"], "existing": existing}

    assert jsonschema.Draft7Validator(stack_schema()).is_valid(data) is is_valid


def test_the_stack_of_a_clusters_ids_is_explained() -> None:
    """As every key that a file may have."""
    found = {each.key: each for each in all_settings()}["infra.existing.stack"]

    assert (found.type, found.default) == ("text", "absent")
    assert found.range.startswith("organization/project/stack, for example")


def test_every_setting_has_a_type_and_most_a_meaning() -> None:
    """A section's meaning is that of its class where the field says none."""
    found = all_settings()

    assert [each.key for each in found if each.type == "anything"] == []
    assert len([each for each in found if not each.meaning]) / len(found) < 0.1


def test_a_form_that_code_checks_has_words_too() -> None:
    """Networks are checked by the standard library, which no pattern describes."""
    ranges = {each.key: each.range for each in all_settings()}

    assert ranges["infra.network.cidr"] == "an IPv4 network between /16 and /20"
    assert ranges["infra.control_plane.public_access_cidrs"].startswith("IPv4 networks, for example 203.0.113.7/32")


def test_a_key_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Meaning, type, range, default and a snippet."""
    assert main(["settings", "explain", "infra.control_plane.key_deletion_days"]) == 0
    assert capsys.readouterr().out == (
        "infra.control_plane.key_deletion_days\n"
        "  How many days after destroy the KMS key of the cluster's secrets can still be restored.\n"
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


def test_mistakes_in_every_section_are_told_at_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt section hides nothing, and one section's mistakes do not wait for another's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert main(["init", *ANSWERS]) == 0
    path = pathlib.Path("Pulumi.dev.yaml")
    text = path.read_text(encoding="utf-8").replace("maximum_nodes: 1", "maximum_nodes: 0").replace("[1, 2, 4]", "[3]")
    path.write_text(
        text.replace("budget_usd: ", "budget_usd: -").replace("aws:region: ", "aws:region: us-west-2 #")
        + "  optimal-tp:servng: {}\n  optimal-tp:loadtest: { pods: 0 }\n",
        encoding="utf-8",
    )
    capsys.readouterr()

    assert main(["settings", "check", "--stack", "dev"]) == 2
    assert [line.split()[1].rstrip(":") for line in capsys.readouterr().err.splitlines()] == [
        "infra.neuron.maximum_nodes",
        "workloads.degrees[0]",
        "spend.budget_usd",
        "optimal-tp:servng",
        "loadtest.pods",
    ]


def test_init_writes_a_stack_file_that_passes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the schema beside it where there is no clone; a second time it refuses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")

    assert main(["init", *ANSWERS, "--reservation", "cr-0123456789abcdef0"]) == 0
    assert main(["settings", "check", "--stack", "dev", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (checked["file"], checked["valid"]) == ("Pulumi.dev.yaml", True)
    written = yaml.safe_load(pathlib.Path("Pulumi.dev.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(json.loads(pathlib.Path(STACK_SCHEMA).read_text(encoding="utf-8"))).validate(written)
    assert main(["init", *ANSWERS]) == 2
    assert "init never overwrites one (got 'dev'); Pulumi.dev.yaml exists: add --stack NAME" in capsys.readouterr().err


def test_each_image_pair_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Engine, image, AMI with its driver, whether it is beta, and until when AWS supports it."""
    assert main(["settings", "explain", "infra.neuron.pair"]) == 0
    said = capsys.readouterr().out

    assert said.count("  engine:  ") == said.count("  beta:    ") == said.count("  support: ") == len(PAIRS)
    assert all(f"  image:   {pair.image()}\n" in said for pair in PAIRS.values())
    assert ("vllm-neuron-0.29\n  engine:  vLLM, engine V1, with vLLM's Neuron plugin and models of its own\n") in said
    assert "  AMI:     v20260714, Neuron driver 2.29.0.0, Kubernetes 1.35, 1.36\n  beta:    no\n" in said
    assert "  beta:    yes, AWS calls it beta\n" in said


MODEL = "Qwen/Qwen3-8B@b968826d9c46dd6066d109eabc6255188de91218"


def test_init_takes_model_and_limit(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In place of the questions; what is written is what was asked for."""
    said = ["--model", MODEL, "--limit", "p95_ttft_ms=250"]

    assert main(["init", *ANSWERS, *said, "--folder", str(tmp_path), "--json"]) == 0
    written = yaml.safe_load((tmp_path / "Pulumi.dev.yaml").read_text(encoding="utf-8"))["config"]
    workloads = written["optimal-tp:workloads"]
    assert json.loads(capsys.readouterr().out)["next"] == "optimal-tp preflight --stack dev"
    assert workloads["model"] == {"name": "Qwen/Qwen3-8B", "revision": MODEL.partition("@")[2]}
    assert workloads["limits"] == {"ttft_ms": {"percentile": 95, "at_most_ms": 250}}


def test_init_refuses_a_bad_model_and_a_bad_limit(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both at once, before anything is written."""
    said = ["--model", "Qwen/Qwen3-8B", "--limit", "p95=250ms"]

    assert main(["init", *ANSWERS, *said, "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines()[:2] == [
        (
            "--model: must name the commit of the model's repository, so that every run has the same weights "
            "(got 'Qwen/Qwen3-8B'); write it as Qwen/Qwen3-8B@COMMIT"
        ),
        (
            "--limit: must be a percentile, a metric (total, ttft or tpot) and a limit above 0 in ms "
            "(got 'p95=250ms'); write it as p95_total_ms=250"
        ),
    ]
    assert list(tmp_path.iterdir()) == []


def test_init_names_every_bad_answer_at_once(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of the questions, each at its option and once, whichever rule of the file it breaks."""
    said = {
        "--zone": "nowhere: [",
        "--network": "0.0.0.0/0",
        "--reservation": "lr-1",
        "--usd-per-hour": "0",
        "--budget-usd": "-1",
        "--model": "Qwen/Qwen3-8B",
        "--limit": "p95=250ms",
    }
    words = [each for pair in said.items() for each in pair]

    assert main(["init", "--stack", "Dev!", *words, "--folder", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["--stack", *said]
    assert lines[1] == "--zone: must be an availability zone, for example us-east-2a (got 'nowhere: [')"
    assert lines[2] == (
        "--network: must not open the API server to the whole internet (got '0.0.0.0/0'); name the networks you work "
        "from"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (("--zone", "us-east-2a"), "--zone: must lie in a region that offers trn2.3xlarge: on 2026-10-03 only "),
        (("--budget-usd", "0.01"), "--budget-usd: must cover the expected cost, "),
    ],
)
def test_init_names_the_option_of_an_answer_that_is_right_in_form(
    answer: tuple[str, str], rule: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no file yet whose keys a sentence could name."""
    assert main(["init", *ANSWERS, *answer, "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(rule)


def test_init_refuses_a_branch_for_a_commit(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A branch moves, so the next run would have other weights."""
    assert main(["init", *ANSWERS, "--model", "Qwen/Qwen3-8B@main", "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "--model: must name the commit of the model's repository, so that every run has the same weights "
        "(got 'Qwen/Qwen3-8B@main'); write it as Qwen/Qwen3-8B@COMMIT, the commit's 40 digits in place of main: "
        "a branch or a tag can move\n"
    )


def stack_of_a_known_config(folder: pathlib.Path, config_file: str) -> pathlib.Path:
    """Write a stack whose model is sized by a config.json in ``folder``/mine, and return its file."""
    assert main(["init", *ANSWERS, "--folder", str(folder)]) == 0
    (folder / "mine").mkdir()
    shutil.copy(ROOT / "tests" / "golden" / "config.json", folder / "mine" / "config.json")
    path = folder / "Pulumi.dev.yaml"
    text = path.read_text(encoding="utf-8").replace("    # model:", "    model:").replace("Qwen/Qwen3-8B", "us/ours")
    path.write_text(f"{text}  optimal-tp:serving:\n    config_file: {config_file}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("config_file", ["mine/config.json", "mine"])
def test_check_reads_a_config_of_this_machine(
    config_file: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its file or its folder, beside the stack file, wherever the command runs."""
    monkeypatch.setenv("PATH", "")
    path = stack_of_a_known_config(tmp_path, config_file)

    assert main(["settings", "check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{path}: the form is right; preflight checks the values"
    monkeypatch.chdir(tmp_path)
    assert main(["settings", "check", "--stack", "dev"]) == 0


def test_check_asks_nothing_of_the_network(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sizes of a model on a hub are the preview's to read: unknown, but no mistake; and they hide none."""
    monkeypatch.setenv("PATH", "")
    path = stack_of_a_known_config(tmp_path, "https://hub.example/ours")
    capsys.readouterr()

    assert main(["settings", "check", str(path)]) == 3
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines()[0] == (
        "warning: unknown here: the sizes in https://hub.example/ours/config.json; pulumi preview and optimal-tp "
        "preflight read them"
    )
    assert said.out.splitlines()[-1] == f"{path}: the form is right; preflight checks the values"
    path.write_text(path.read_text(encoding="utf-8").replace("budget_usd: ", "budget: "), encoding="utf-8")
    assert main(["settings", "check", str(path)]) == 2
    said = capsys.readouterr()
    assert "spend.budget: must be one of" in said.err
    assert "hub.example" not in said.err


def test_check_takes_a_profile_by_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    """As with --profile."""
    path = PROFILES / "quick.yaml"

    assert main(["settings", "check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: the form is right\n"


def test_check_warns_of_what_is_right_in_form_only(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Examples that nobody replaced, and a share where a percentage is meant."""
    monkeypatch.setenv("PATH", "")
    path = tmp_path / "Pulumi.dev.yaml"
    text = (ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("percentile: 99", "percentile: 0.99"), encoding="utf-8")

    assert main(["settings", "check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        (
            "warning: infra.neuron.reservation_ids: cr-0123456789abcdef0 is the example's; put in the id of your "
            "reservation or Capacity Block once you have one"
        ),
        (
            "warning: infra.control_plane.public_access_cidrs: 203.0.113.0/24 is kept for examples; put in the network "
            "that you work from"
        ),
        (
            "warning: workloads.limits.total_latency_ms.percentile: 0.99 asks for 0.99 % of the requests; write 99 for "
            "99 %"
        ),
        f"{path}: the form is right; preflight checks the values",
    ]
    assert main(["settings", "check", str(path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 3


def test_check_of_a_word_says_how_to_name_a_stack(capsys: pytest.CaptureFixture[str]) -> None:
    """A stack is no file; and two names contradict each other."""
    assert main(["settings", "check", "prod"]) == 2
    assert (
        "FILE: must be an existing stack file, Pulumi.<stack>.yaml, or a profile's .yaml (got 'prod'); "
        "for the stack prod: --stack prod"
    ) in capsys.readouterr().err
    assert main(["settings", "check", "prod", "--stack", "dev"]) == 2
    assert "FILE: must be absent beside --stack and --profile" in capsys.readouterr().err


def test_check_of_another_file_says_what_it_must_be_called(capsys: pytest.CaptureFixture[str]) -> None:
    """It exists, so that is not what is wrong with it."""
    assert main(["settings", "check", str(ROOT / "README.md")]) == 2
    assert capsys.readouterr().err == (
        "FILE: must be a stack file, called Pulumi.<stack>.yaml, or a profile, whose name ends in .yaml "
        f"(got '{ROOT / 'README.md'}'); name such a file\n"
    )


def test_check_of_broken_yaml_gives_its_place(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stack's name is no value of the file."""
    monkeypatch.setenv("PATH", "")
    path = tmp_path / "Pulumi.bad.yaml"
    path.write_text("config: [\n", encoding="utf-8")

    assert main(["settings", "check", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{path}:2: must be YAML: ")
    assert "(got" not in said


def test_check_gives_folder_and_line_of_a_file_elsewhere(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from its own folder."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    assert main(["init", *ANSWERS]) == 0
    lines = pathlib.Path("Pulumi.dev.yaml").read_text(encoding="utf-8").replace("budget_usd: ", "budget: ")
    pathlib.Path("mine").mkdir()
    pathlib.Path("mine/Pulumi.bad.yaml").write_text(lines, encoding="utf-8")
    number = next(number for number, line in enumerate(lines.splitlines(), 1) if "budget:" in line)
    capsys.readouterr()

    assert main(["settings", "check", "mine/Pulumi.bad.yaml"]) == 2
    assert f"mine/Pulumi.bad.yaml:{number} spend.budget: must be one of" in capsys.readouterr().err


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
