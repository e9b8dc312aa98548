"""The state of a job, from all that is known of it."""

import json

import pytest

from ganrun.errors import UserError
from ganrun.sweep.job_state import JobState, resolve_state
from ganrun.sweep.state import SweepJob, SweepState, load_sweep


@pytest.mark.parametrize(
    ("run", "exit_code", "is_stopped", "expected"),
    [
        # nobody has watched it: at a start of the sweep, or after the process that had it has died
        ("", None, False, "waiting"),
        ("running", None, False, "waiting"),
        ("interrupted", None, False, "waiting"),
        ("failed", None, False, "waiting"),
        ("done", None, False, "done"),
        ("pruned", None, False, "pruned"),
        # it has ended by itself
        ("done", 0, False, "done"),
        ("pruned", 0, False, "pruned"),
        ("running", 0, False, "failed"),
        ("", 0, False, "failed"),
        ("failed", 1, False, "failed"),
        ("done", 1, False, "failed"),
        ("", 2, False, "refused"),
        ("done", 2, False, "refused"),
        ("running", -9, False, "failed"),
        # somebody has asked it to end
        ("interrupted", 130, False, "interrupted"),
        ("interrupted", 143, False, "interrupted"),
        ("interrupted", 129, False, "interrupted"),
        ("done", 129, False, "done"),
        ("done", 143, False, "done"),
        ("pruned", 130, False, "pruned"),
        # the sweep has asked it to end
        ("interrupted", 143, True, "interrupted"),
        ("done", 143, True, "done"),
        ("done", -9, True, "done"),
        ("running", -9, True, "interrupted"),
        ("", 2, True, "interrupted"),
        ("failed", 1, True, "interrupted"),
    ],
)
def test_a_state_follows_from_the_run_its_exit_code_and_whether_it_was_stopped(run, exit_code, is_stopped, expected):
    assert resolve_state(JobState(run), exit_code, is_stopped) is JobState(expected)


@pytest.mark.parametrize(
    ("state", "is_finished", "has_failed", "is_over", "exit_code"),
    [
        ("waiting", False, False, False, 1),
        ("running", False, False, False, 1),
        ("interrupted", False, False, False, 1),
        ("done", True, False, True, 0),
        ("pruned", True, False, True, 0),
        ("failed", False, True, True, 1),
        ("refused", False, True, True, 2),
    ],
)
def test_what_each_state_means(state, is_finished, has_failed, is_over, exit_code):
    state = JobState(state)
    assert (state.is_finished, state.has_failed, state.is_over) == (is_finished, has_failed, is_over)
    assert state.exit_code == exit_code


def test_sweep_json_and_messages_have_the_plain_values(tmp_path):
    sweep = SweepState(tmp_path, {"axes": []}, [SweepJob(0, 0, {}, 0, "0", JobState.DONE)])
    sweep.save()
    assert json.loads((tmp_path / "sweep.json").read_text())["jobs"][0]["state"] == "done"
    assert load_sweep(tmp_path).jobs[0].state is JobState.DONE
    assert f"{JobState.DONE} {JobState.UNKNOWN}" == "done "


def test_a_state_that_is_unknown_makes_the_file_unreadable(tmp_path):
    SweepState(tmp_path, {"axes": []}, [SweepJob(0, 0, {}, 0, "0")]).save()
    path = tmp_path / "sweep.json"
    path.write_text(path.read_text().replace("waiting", "asleep"))
    with pytest.raises(UserError, match=r"'asleep' is not a valid JobState.*sweep.fresh=true"):
        load_sweep(tmp_path)
