"""The report of a sweep."""

import base64
import io
import re

import pytest
from PIL import Image

from ganrun.sweep.job_state import JobState
from ganrun.sweep.report import html, leaderboard, ranking
from ganrun.sweep.report.results import RunResult
from ganrun.sweep.state import SweepJob, SweepState
from ganrun.terminal import PlainConsole


@pytest.fixture
def page(tmp_path):
    """The report of nine points of two settings, one of them numbers and null."""

    def page(**changes):
        jobs, results = [], {}
        for k in range(9):
            values = {"clip": ("null", "1", "10")[k % 3], "optimizer.lr": ("0.1", "0.2", "30")[k // 3]}
            jobs.append(SweepJob(k, k, values, 0, f"{k}-job", "done"))
            results[k] = RunResult("done", 2.0, 1.0, "val/fd", "min", float(k), {}, [(1.0, k + 1.0), (2.0, float(k))])
        jobs[8].state, jobs[8].error = JobState.FAILED, "<b>lost</b>"
        (tmp_path / "0-job" / "samples").mkdir(parents=True)
        for kimg in (1, 2, 3):
            Image.new("L", (1, 1), kimg).save(tmp_path / "0-job" / "samples" / f"samples-kimg{kimg:010.3f}.png")
        known = SweepState(tmp_path, {"axes": ["clip=null,1,10", "optimizer.lr=0.1,0.2,30"]}, jobs, ["model=<gan>"])
        path = html.write_report(known, ranking.rank_points(jobs, results, "min"), results, "val/fd")
        return path.read_text()

    return page


def test_the_page_shows_ranking_curves_settings_importance_samples_and_failures(page, caplog):
    text = page()
    for title in (
        "Leaderboard",
        "Scores during training",
        "Settings and score",
        "Importance of each setting",
        "Samples",
    ):
        assert f"<h2>{title}</h2>" in text
    shown = text.split("<h2>Samples</h2>")[1]
    (picture,) = re.findall('base64,(.*?)"', shown)
    assert Image.open(io.BytesIO(base64.b64decode(picture))).getpixel((0, 0)) == 2  # the samples of the best score
    assert "0-job, 0 at 2 kimg" in shown
    assert "9 in total: 8 done, 1 failed" in text
    assert "&lt;b&gt;lost&lt;/b&gt;" in text
    assert "model=&lt;gan&gt;" in text
    assert not [record for record in caplog.records if record.name.startswith("ganrun")]


def test_a_figure_that_fails_does_not_remove_the_others(page, monkeypatch, caplog):
    monkeypatch.setattr(html, "plot_importance", lambda ranked: 1 / 0)
    text = page()
    assert "Settings and score" in text
    assert "Importance" not in text
    assert "lacks its figure" in caplog.text


def test_points_without_a_setting_have_a_tick_of_their_own():
    found = html.coordinate_axis("model.c", ["1", None, "3"])
    assert found["values"] == pytest.approx([1, 0.7, 3])
    assert found["ticktext"][0] == "none"
    assert found["tickvals"][0] == found["values"][1]
    assert html.coordinate_axis("model.c", ["a", None, "b"])["ticktext"] == ["a", "b", "none"]
    assert html.coordinate_axis("model.c", ["a", None, "b"])["values"] == [0, 2, 1]
    assert html.coordinate_axis("lr", ["1e-4", "1e-2", None])["values"] == pytest.approx([-4, -2, -4.3])


def test_a_ranking_uses_the_metric_of_the_jobs_with_scores(tmp_path, capsys):
    """The first job belongs to another metric, of which lower values are better, and has no score."""
    jobs = [SweepJob(k, k, {"data": "ab"[k > 0]}, 0, str(k), "failed" if k == 0 else "done") for k in range(3)]
    found = {0: RunResult(JobState.FAILED, metric="val/fd_lenet", mode="min")}
    for k, score in ((1, 2.0), (2, 8.0)):
        found[k] = RunResult(
            "done", metric="val/is", mode="max", score=score, protocol={"score": "val/is"}, history=[(1, score)]
        )
    known = SweepState(tmp_path, {"axes": ["data=a,b"]}, jobs)
    (ranked,) = leaderboard.show_rankings(
        known, found, PlainConsole(width=120), lambda own, name: ranking.leaderboard_table(own, ["data"], name)
    )
    assert [standing.point for standing in ranked] == [2, 1, 0]
    assert "val/is" in capsys.readouterr().out
