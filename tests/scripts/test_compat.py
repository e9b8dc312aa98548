"""scripts/compat with a uv and a pytest that only say how they are called."""

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = """#!/bin/sh
echo uv "$@" >> calls
case "$*" in
*" freeze "*) echo torch==2.6.0 ;;
"venv "*)
    for environment; do :; done
    mkdir -p "$environment/bin"
    cp scripts/python "$environment/bin" ;;
esac
"""
PYTHON = """#!/bin/sh
environment=$(dirname "$0" | xargs dirname | xargs basename)
echo $environment "$@" >> calls
[ $environment != "$FAIL" ]
"""


@pytest.fixture
def project(tmp_path):
    """A folder with a copy of the script; `run` returns its result, and `calls` what it called, in order."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "scripts" / "compat", tmp_path / "scripts")
    for path, text in ((tmp_path / "bin" / "uv", UV), (tmp_path / "scripts" / "python", PYTHON)):
        path.write_text(text)
        path.chmod(0o755)

    def run(*args, path=f"{tmp_path}/bin:/usr/bin:/bin", **env):
        command = ["bash", "scripts/compat", *args]
        return subprocess.run(command, cwd=tmp_path, env={"PATH": path, **env}, capture_output=True, text=True)

    return SimpleNamespace(run=run, calls=lambda: (tmp_path / "calls").read_text().splitlines())


def test_the_lowest_versions_are_those_of_the_direct_dependencies_on_the_oldest_python(project):
    assert project.run("lowest", "tests/config").returncode == 0
    venv, install, _, pytest_call = project.calls()
    assert venv == "uv venv --quiet --python 3.10 .compat/lowest"
    assert "--upgrade --resolution lowest-direct --torch-backend cpu -e .[dev]" in install
    assert pytest_call == "lowest -m pytest -n 2 --dist loadfile -m not slow tests/config"


def test_a_failure_of_one_end_does_not_hide_the_other(project):
    result = project.run(FAIL="lowest")
    assert (result.returncode, result.stderr) == (1, "Failed: lowest\n")
    assert [call.split()[0] for call in project.calls() if "pytest" in call] == ["lowest", "newest"]


def test_the_torch_of_the_package_index_can_be_had(project):
    assert project.run("newest", UV_TORCH_BACKEND="").returncode == 0
    assert "--resolution highest -e .[dev]" in project.calls()[1]


def test_without_uv_the_script_says_how_to_get_it(project, tmp_path):
    for name in ("bash", "dirname"):
        (tmp_path / "few").mkdir(exist_ok=True)
        (tmp_path / "few" / name).symlink_to(shutil.which(name))
    result = project.run("lowest", path=str(tmp_path / "few"))
    assert (result.returncode, result.stderr.count("pip install uv")) == (2, 1)


def test_the_ends_are_the_oldest_python_that_is_allowed_and_are_tested_in_ci():
    assert 'requires-python = ">=3.10"' in (ROOT / "pyproject.toml").read_text()
    assert "versions: [lowest, newest]" in (ROOT / ".github" / "workflows" / "test.yml").read_text()
