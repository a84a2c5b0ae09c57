"""The command line in processes of its own: what its help imports, and what bash makes of its completion."""

import pathlib
import subprocess
import sys

import pytest

from optimal_tp.__main__ import main

ROOT = pathlib.Path(__file__).parents[2]


def test_help_imports_no_library() -> None:
    """What a command needs is imported only when somebody asks for it."""
    code = (
        "import sys; from optimal_tp.cli.terminal.argument_parser import top; top().format_help(); "
        "print(sorted({'pydantic', 'numpy', 'boto3', 'rich', 'yaml', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout == "[]\n"


def test_bash_completes_commands_and_options(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a real bash, as a user presses Tab."""
    main(["completion", "bash"])
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    code = (
        f"source {script}; COMP_WORDS=(optimal-tp wat); COMP_CWORD=1; _optimal_tp; echo ${{COMPREPLY[@]}}; "
        "COMP_WORDS=(optimal-tp plan --rat); COMP_CWORD=2; _optimal_tp; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)  # noqa: S607 - the system's

    assert done.stdout.split() == ["watch", "--rate"]
