"""The report of a sweep."""

import base64
import gzip
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from ganrun.sweep.job_state import JobState
from ganrun.sweep.report import figures, html, leaderboard, ranking
from ganrun.sweep.report.results import Curve, RunResult
from ganrun.sweep.report.thumbnails import thumbnail
from ganrun.sweep.state import SweepJob, SweepState
from ganrun.terminal import PlainConsole

DOT = Image.new("L", (1, 1))
NINE = [{"clip": ("null", "1", "10")[k % 3], "optimizer.lr": ("0.1", "0.2", "30")[k // 3]} for k in range(9)]


def result(*scores, kid=None):
    """A run with these scores at 1, 2 ... kimg, of which lower is better, and its KID under a protocol."""
    curves = {"val/fd": Curve({}, [(float(k), score) for k, score in enumerate(scores, 1)])}
    if kid is not None:
        curves["val/kid"] = Curve({"subsets": kid}, [(1.0, 0.5), (2.0, 0.25)])
    return RunResult("done", 2.0, 1.0, "val/fd", "min", min(scores), {}, curves["val/fd"].readings, curves=curves)


@pytest.fixture
def report(tmp_path):
    """Writes the report of jobs with these values, results and seeds, each with samples at 1, 2, 3 kimg; its text."""

    def report(values, results, seeds=1, image=DOT, command=()):
        jobs = [SweepJob(k, k // seeds, own, k % seeds, f"{k}-job", "done") for k, own in enumerate(values)]
        for job in jobs:
            (tmp_path / job.name / "samples").mkdir(parents=True)
            for kimg in (1, 2, 3):
                image.point(lambda grey, kimg=kimg: grey + kimg).save(
                    tmp_path / job.name / "samples" / f"samples-kimg{kimg:010.3f}.png"
                )
        known = SweepState(tmp_path, {"axes": [f"{key}=" for key in values[0]]}, jobs, list(command))
        found = dict(enumerate(results))
        for job in jobs:
            job.state, job.error = (
                (JobState.DONE, "") if found[job.number].history else (JobState.FAILED, "<b>lost</b>")
            )
        return html.write_report(known, ranking.rank_points(jobs, found, "min"), found, "val/fd").read_text()

    return report


def plots(text):
    """The figures in a page, as plotly gets them."""
    return [json.loads(found) for found in re.findall('<script type="application/json">(.*?)</script>', text)]


def names_of_lines(plot):
    return [trace["name"] for trace in plot["data"] if "name" in trace and trace["visible"]]


def test_the_page_shows_ranking_samples_curves_settings_importance_and_failures(report, caplog):
    text = report(NINE, [result(k + 1.0, float(k)) for k in range(8)] + [RunResult("failed")], command=["model=<gan>"])
    titles = ["Leaderboard", "Samples", "Scores during training", "Settings and score", "Importance of each setting"]
    assert re.findall("<h2>(.*?)</h2>", text) == [*titles, "Failures"]
    assert "9 in total: 8 done, 1 failed" in text
    assert "&lt;b&gt;lost&lt;/b&gt;" in text
    assert "model=&lt;gan&gt;" in text
    assert "<th>val/fd (lower is better)</th>" in text
    assert not [record for record in caplog.records if record.name.startswith("ganrun")]


def test_the_samples_of_the_winner_come_first_and_are_those_of_its_best_score(report):
    text = report([{"lr": "1"}, {"lr": "2"}, {"lr": "3"}], [result(8.0, 9.0), result(3.0, 1.0), result(5.0, 4.0)])
    shown = text.split("<h2>Samples</h2>")[1]
    assert re.findall("<b>(.*?)</b>", shown) == ["lr=2", "lr=3", "lr=1"]
    pixels = [Image.open(io.BytesIO(base64.b64decode(code))) for code in re.findall('png;base64,(.*?)"', shown)]
    assert [picture.getpixel((0, 0)) for picture in pixels] == [2, 2, 1]
    assert "1. <b>lr=2</b><br>1 at 2 kimg" in shown


def test_a_point_has_one_colour_and_one_name_everywhere(report):
    seeds = [result(5.0, 4.0), result(7.0, 6.0), result(2.0, 1.0), result(4.0, 3.0)]
    text = report([{"model": "gan"}] * 2 + [{"model": "wgan"}] * 2, seeds, seeds=2)
    curves, settings = plots(text)
    assert names_of_lines(curves) == ["model=wgan", "model=gan"]
    colours = re.findall("background:(#......)", text)
    assert colours == [*figures.COLOURS[:2]] * 2  # the leaderboard, the samples
    assert [trace["line"]["color"] for trace in curves["data"] if "name" in trace] == [*figures.COLOURS[:2]]
    assert [trace["marker"]["color"] for trace in settings["data"] if "mean" not in trace["name"]] == colours[:2]
    assert "the best of 2 seeds" in text


def test_seeds_are_a_mean_and_a_band_from_the_lowest_to_the_highest(report):
    text = report([{"model": "gan"}] * 3, [result(5.0, 1.0), result(8.0, 2.0), result(8.0, 6.0)], seeds=3)
    band, line = plots(text)[0]["data"]
    assert (line["x"], line["y"]) == ([1.0, 2.0], [7.0, 3.0])
    assert (band["x"], band["y"]) == ([1.0, 2.0, 2.0, 1.0], [8.0, 6.0, 1.0, 5.0])


def test_the_mean_is_of_kimg_that_all_seeds_have():
    curves = [Curve({}, [(1.0, 4.0), (2.0, 2.0), (3.0, 1.0)]), Curve({}, [(1.0, 6.0), (2.0, float("nan")), (3.0, 3.0)])]
    assert figures.merge_seeds(curves, 10) == [(1.0, 4.0, 5.0, 6.0), (3.0, 1.0, 2.0, 3.0)]
    long = [Curve({}, [(float(k), 1.0) for k in range(1000)])]
    assert [kimg for kimg, *_ in figures.merge_seeds(long, 4)] == [0.0, 250.0, 500.0, 750.0, 999.0]


def test_other_scores_can_be_selected_if_all_runs_measured_them_in_the_same_way(report, tmp_path):
    (curves,) = plots(report([{"lr": "1"}, {"lr": "2"}], [result(3.0, 2.0, kid=10), result(4.0, 1.0, kid=10)]))[:1]
    shown = [button["label"] for menu in curves["layout"]["updatemenus"] for button in menu["buttons"]]
    assert shown == ["val/fd", "val/kid", "linear", "log"]
    (select, _) = curves["layout"]["updatemenus"]
    visible, layout = select["buttons"][1]["args"]
    assert [trace["name"] for trace, on in zip(curves["data"], visible["visible"], strict=True) if on] == [
        "lr=2",
        "lr=1",
    ]
    assert layout["yaxis.title.text"] == "val/kid (lower is better)"
    points = ranking.rank_points(
        [SweepJob(0, 0, {}, 0, "0"), SweepJob(1, 1, {}, 0, "1")],
        {0: result(1.0, kid=10), 1: result(2.0, kid=20)},
        "min",
    )
    assert figures.comparable_scores(points, "val/fd") == ["val/fd"]


def test_links_lead_from_the_page_to_the_run_folders(report, tmp_path):
    text = report([{"lr": "1"}, {"lr": "2"}], [result(3.0), result(4.0)])
    links = set(re.findall('href="(.*?)"', text))
    assert links == {"0-job/", "1-job/"}
    assert all((tmp_path / link).is_dir() for link in links)


def test_columns_in_which_nothing_differs_are_left_out(report):
    text = report([{"lr": "1", "betas.0": "0.5"}, {"lr": "2", "betas.0": "0.5"}], [result(3.0), result(4.0)])
    assert "<th>lr</th>" in text
    assert "betas" not in text.split("<h2>Samples")[0]


@pytest.mark.slow
def test_a_report_of_300_runs_is_under_5_mb_and_shows_all(report):
    """Noise, which compresses badly, in grids of 8 by 8 pictures of 32 by 32; seven scores at 200 kimg."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 250, (256, 256, 3), np.uint8))
    found = [result(*np.random.default_rng(k).lognormal(size=200)) for k in range(300)]
    for own in found:
        own.curves |= {f"val/s{k}": Curve({}, own.history) for k in range(6)}
    text = report([{"lr": f"{k // 3}"} for k in range(300)], found, seeds=3, image=noise)
    assert len(text) < 5_000_000
    assert len(re.findall("data:image/jpeg", text)) == 100
    assert 0 < sum(len(trace["x"]) for trace in plots(text)[0]["data"]) < 3 * figures.MAX_READINGS


def test_the_script_in_the_page_is_plotly_compressed(report):
    text = report([{"lr": "1"}, {"lr": "2"}], [result(3.0), result(4.0)])
    (packed,) = re.findall('<script type="text/plain" id="plotly">(.*?)</script>', text)
    assert b"plotly.js" in gzip.decompress(base64.b64decode(packed))[:200]
    assert "plotly.js v" not in text  # as it is


def test_a_figure_that_fails_does_not_remove_the_others(report, monkeypatch, caplog):
    monkeypatch.setattr(html, "plot_importance", lambda ranked: 1 / 0)
    text = report(NINE, [result(float(k)) for k in range(9)])
    assert "Settings and score" in text
    assert "Importance" not in text
    assert "lacks its figure" in caplog.text


def test_points_without_a_setting_have_a_tick_of_their_own():
    found = figures.coordinate_axis("model.c", ["1", None, "3"])
    assert found["values"] == pytest.approx([1, 0.7, 3])
    assert found["ticktext"][0] == "none"
    assert found["tickvals"][0] == found["values"][1]
    assert figures.coordinate_axis("model.c", ["a", None, "b"])["ticktext"] == ["a", "b", "none"]
    assert figures.coordinate_axis("model.c", ["a", None, "b"])["values"] == [0, 2, 1]
    assert figures.coordinate_axis("lr", ["1e-4", "1e-2", None])["values"] == pytest.approx([-4, -2, -4.3])


@pytest.mark.parametrize(("size", "shown"), [((64, 64), (64, 64)), ((960, 960), (240, 240)), ((480, 960), (240, 480))])
def test_a_large_picture_becomes_a_thumbnail(size, shown, tmp_path):
    Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "large.png")
    kind, code = thumbnail(tmp_path / "large.png", tmp_path, 240).split(";base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(code)))
    assert kind == ("data:image/png" if size == shown else "data:image/jpeg")
    assert picture.size == shown
    assert picture.getpixel((5, 5)) == pytest.approx((10, 200, 30), abs=3)


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
