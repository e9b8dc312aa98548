"""The commands and the Python code of README.md, CONTRIBUTING.md and docs/ work."""

import contextlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.doc_blocks import REPOSITORY, Block, pages, read_blocks

from ganrun.cli.main import main
from ganrun.metrics import scores

BLOCKS = {str(page.relative_to(REPOSITORY)): read_blocks(page) for page in pages()}
RUN = {name: [b for b in blocks if b.title or not b.skip_reason] for name, blocks in BLOCKS.items()}
SLOW_PAGES = [name for name, blocks in RUN.items() if any(b.is_slow for b in blocks)]
FAST_PAGES = [
    name for name, blocks in RUN.items() if any(b.language in ("bash", "python") and not b.is_slow for b in blocks)
]
# Blocks that no test runs, by page; the reason stands before each. Raise a number only for what cannot run here.
SKIPPED = {
    "README.md": 1,
    "CONTRIBUTING.md": 2,
    "docs/benchmarks.md": 1,
    "docs/clusters.md": 3,
    "docs/data.md": 2,
    "docs/getting-started.md": 1,
    "docs/look.md": 2,
    "docs/python.md": 1,
    "docs/runs.md": 1,
    "docs/scores.md": 3,
    "docs/servers.md": 4,
    "docs/sweeps.md": 2,
}


@pytest.fixture
def workplace(tmp_path, tmp_path_factory, monkeypatch):
    """An empty working folder; `ganrun` is on the PATH, and all pages share one data cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path_factory.getbasetemp() / "cache-of-docs"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(REPOSITORY)]))  # of sweep jobs
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    own = {name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))}
    scores.DECLARED[:] = [score for score in scores.DECLARED if getattr(score.compute, "__module__", "") not in own]
    for name in own:
        del sys.modules[name]


@pytest.mark.parametrize("page", FAST_PAGES)
def test_the_code_of_a_page_works(page, workplace):
    run_blocks([block for block in RUN[page] if not block.is_slow])


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW_PAGES)
def test_the_code_of_a_page_works_with_its_slow_blocks(page, workplace):
    run_blocks(RUN[page])


def run_blocks(blocks: list[Block]) -> None:
    """Run the blocks one after the other in the current folder; Python blocks share their variables."""
    variables = {"__name__": "__docs__"}
    for block in blocks:
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text)
        elif block.language == "bash":
            for command in block.commands():
                code = run_command(block, command)
            assert code == block.exit_code, f"{block}: {command} exits with {code}"
        elif block.language == "python":
            exec(compile(block.text, str(block), "exec"), variables)


def run_command(block: Block, command: str) -> int:
    """Return the exit code. A plain `ganrun` command runs in this process, which spares it the imports."""
    print(f"\n{block}: {command}", flush=True)
    args = shlex.split(command)
    is_plain = args[0] == "ganrun" and not any(sign in command for sign in ("|", ">", "*", "$(", "&&", ";"))
    if not is_plain:
        verb = args[1] if args[0] == "ganrun" else args[0]
        line = shlex.join(block.appended(verb))
        shell = ["bash", "-euo", "pipefail", "-c", f"{command} {line}"]
        return subprocess.run(shell, timeout=60, stdin=subprocess.DEVNULL).returncode
    with contextlib.suppress(SystemExit):
        return main([*args[1:], *block.appended(args[1])])
    return -1


def test_the_skipped_blocks_are_the_known_ones():
    skipped = {name: sum(block.skip_reason is not None for block in blocks) for name, blocks in BLOCKS.items()}
    assert {name: count for name, count in skipped.items() if count} == SKIPPED


@pytest.mark.parametrize("page", BLOCKS)
def test_every_skip_has_a_reason_and_every_directive_a_meaning(page):
    for block in BLOCKS[page]:
        for directive in block.directives:
            word, _, rest = directive.partition(" ")
            assert word in ("slow", "skip,", "exits", "append"), f"{block}: {directive}"
            assert word == "slow" or rest, f"{block}: {directive}"


@pytest.mark.parametrize("page", BLOCKS)
def test_no_command_hides_from_the_tests(page):
    """Commands stand in bash blocks: not in blocks of another language, and not in indented ones."""
    for block in BLOCKS[page]:
        assert block.language in ("bash", "python", "yaml", "text", "math"), f"{block}: {block.language}"
        if block.language == "text":
            assert "ganrun " not in block.text, block
    is_in_block = False
    for number, line in enumerate((REPOSITORY / page).read_text().splitlines(), start=1):
        is_in_block ^= line.lstrip().startswith("```")
        assert is_in_block or not line.startswith("    ganrun "), f"{page}:{number}"
