"""The context of a command: nested commands, and the state of the process afterwards."""

import os
import sys
from contextlib import suppress

import pytest

from ganrun.sweep.hydra_context import CommandContext, activate, current_command


def test_nested_commands_have_their_own_context_and_restore_the_process(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = (sys.argv, sys.path)
    outer, inner = CommandContext({}, ["a=1"]), CommandContext({}, ["b=2"])
    with activate(outer, outer.overrides):
        with suppress(RuntimeError), activate(inner, inner.overrides):
            assert (current_command(), sys.argv[1:]) == (inner, ["b=2"])
            assert not {"", ".", str(tmp_path)} & {*sys.path}
            raise RuntimeError
        assert (current_command(), sys.argv[1:], os.environ["HYDRA_FULL_ERROR"]) == (outer, ["a=1"], "1")
    assert (sys.argv, sys.path) == before
    assert "HYDRA_FULL_ERROR" not in os.environ
    with pytest.raises(LookupError):
        current_command()


def test_new_sweep_folders_without_jobs_are_removed(tmp_path):
    folder, kept = tmp_path / "sweeps" / "new", tmp_path / "with_a_job"
    for path in (folder, kept / "0"):
        path.mkdir(parents=True)
    (folder / "multirun.yaml").touch()
    for new in ([folder, folder.parent], [kept]):
        with activate(CommandContext({}, [], new_folders=new), []):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["with_a_job"]
