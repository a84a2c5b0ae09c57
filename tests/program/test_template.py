"""The template folder: a project file and a stack file that do not go stale."""

import re

import yaml

from tests.fakes_pulumi import recorded, run_main
from tests.fakes_stack_files import ROOT, stack_config

TEMPLATE = ROOT / "template"


def test_the_templates_stack_file_is_the_one_that_is_tested() -> None:
    """Byte for byte, with the comment on each key, but for the path of the schema in the checkout."""
    text = (TEMPLATE / "Pulumi.dev.yaml").read_text(encoding="utf-8")

    assert text.replace("$schema=optimal-tp/", "$schema=", 1) == (ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8")


def test_the_template_has_no_program_of_its_own() -> None:
    """What runs is a checkout of a release; nothing here can differ from it."""
    project = yaml.safe_load((TEMPLATE / "Pulumi.yaml").read_text(encoding="utf-8"))

    assert {path.name for path in TEMPLATE.iterdir()} == {"Pulumi.yaml", "Pulumi.dev.yaml", ".gitignore"}
    assert (project["name"], project["main"]) == ("${PROJECT}", "optimal-tp")
    assert project["runtime"] == yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["runtime"]


def test_every_question_of_the_template_is_explained_and_answered() -> None:
    """Each value that ``pulumi new`` asks for has a description and a default, which is the stack file's."""
    asked = yaml.safe_load((TEMPLATE / "Pulumi.yaml").read_text(encoding="utf-8"))["template"]["config"]
    known = stack_config("Pulumi.dev.yaml")

    assert {key: value["default"] for key, value in asked.items()} == {key: known[key] for key in asked}
    assert all(value["description"] for value in asked.values())


def test_the_program_reads_its_settings_in_a_project_of_any_name() -> None:
    """The keys are optimal-tp's, whatever the project is called."""
    elsewhere = run_main(stack_config("Pulumi.dev.yaml"), project="mine")

    assert sorted(each.key for each in elsewhere.resources) == sorted(
        each.key for each in recorded("Pulumi.dev.yaml").resources
    )


def pins(file: str) -> dict[str, str]:
    """Return every pin of a requirements file, by package."""
    return dict(
        re.findall(r"^([\w.-]+)(?:\[[\w,]*\])?==(\S+)", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    )


def test_one_environment_takes_the_program_and_the_reports() -> None:
    """In the project's environment the load generator's packages are installed over the program's: no pin differs."""
    program, reports = pins("requirements.txt"), pins("requirements/loadgen.txt")
    both = program.keys() & reports.keys()

    assert {"boto3", "pydantic", "rich"} <= both
    assert {name: reports[name] for name in both} == {name: program[name] for name in both}
