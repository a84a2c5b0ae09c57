"""``pulumi new`` from the template folder, as the real Pulumi does it, and a preview in a project of another name."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
import yaml

from tests.fakes_stack_files import ROOT

NEEDED = ("pulumi", "pulumi-language-python")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)} on PATH"),
    pytest.mark.timeout(180),
]


class Project:
    """A folder with a checkout in it, and a backend of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder / "mine"
        self.folder.mkdir()
        (folder / "state").mkdir()
        (self.folder / "optimal-tp").symlink_to(ROOT)
        (self.folder / ".venv").symlink_to(ROOT / ".venv")
        self._environment = {
            **os.environ,
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def pulumi(self, *words: str) -> tuple[int, str]:
        """Run Pulumi in the folder; return its status and its words."""
        done = subprocess.run(
            ["pulumi", *words, "--non-interactive"],  # noqa: S607 - the machine's own
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: pathlib.Path) -> Project:
    """Return a project called mine, made from the template."""
    made = Project(tmp_path)
    words = ("new", str(made.folder / "optimal-tp" / "template"), "--generate-only", "--yes", "--force")
    status, said = made.pulumi(*words, "--name", "mine", "--description", "Ours")
    assert status == 0, said
    return made


def test_a_new_project_has_its_own_name_and_the_whole_stack_file(project: Project) -> None:
    """Placeholders are filled in, the template's own section is gone, and no comment is lost."""
    made = yaml.safe_load((project.folder / "Pulumi.yaml").read_text(encoding="utf-8"))

    assert (made["name"], made["description"], made["main"]) == ("mine", "Ours", "optimal-tp")
    assert "template" not in made
    assert (project.folder / "Pulumi.dev.yaml").read_bytes() == (ROOT / "template" / "Pulumi.dev.yaml").read_bytes()


def test_paths_in_the_stack_file_begin_at_the_project(project: Project) -> None:
    """As for the commands, which are run there, although the program lies in a folder of its own."""
    path = project.folder / "Pulumi.dev.yaml"
    configs = json.loads((ROOT / "tests" / "published" / "configs.json").read_text(encoding="utf-8"))
    (project.folder / "config.json").write_text(json.dumps(configs["Qwen2.5-7B-Instruct"]["config"]), encoding="utf-8")
    text = path.read_text(encoding="utf-8").replace("budget_usd: 20", "budget_usd: 1")
    own = "model: { max_num_seqs: 1, name: mine/own, revision: main }"
    text = text.replace("model: { max_num_seqs: 1 }", own)
    text = text.replace("optimal-tp:serving:\n", "optimal-tp:serving:\n    config_file: config.json\n")
    path.write_text(text, encoding="utf-8")
    project.pulumi("stack", "init", "dev")
    status, said = project.pulumi("preview", "--stack", "dev")

    assert status != 0
    assert "spend.budget_usd: must cover the expected cost" in said


def test_the_program_runs_in_it_and_tells_a_mistake_without_a_traceback(project: Project) -> None:
    """It reads its settings under its own name; what is wrong with them is one sentence."""
    path = project.folder / "Pulumi.dev.yaml"
    # Some lines more than the program's own file, which is not the one that is wrong.
    text = "# one\n# two\n# three\n" + path.read_text(encoding="utf-8").replace("budget_usd: 20", "budget_usd: 1")
    path.write_text(text, encoding="utf-8")
    project.pulumi("stack", "init", "dev")
    text = path.read_text(encoding="utf-8")  # which Pulumi has written anew
    line = text[: text.index("budget_usd: 1")].count("\n") + 1
    status, said = project.pulumi("preview", "--stack", "dev")

    assert status != 0
    assert f"error: Pulumi.dev.yaml:{line} spend.budget_usd: must cover the expected cost, 14.48 USD" in said
    assert "Traceback" not in said
