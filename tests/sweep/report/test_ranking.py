"""The ranking of a sweep's points over seeds."""

import csv
import math

import pytest

from ganrun.sweep.job_state import JobState
from ganrun.sweep.report import ranking
from ganrun.sweep.report.results import RunResult
from ganrun.sweep.state import SweepJob
from ganrun.terminal import PlainConsole

NAN = math.nan
SCORES = {"a": [2.0, 4.0, 9.0], "b": [1.0, NAN, 2.0], "c": [NAN, NAN, NAN], "d": [3.0]}


@pytest.fixture
def jobs():
    made = []
    for point, (model, scores) in enumerate(SCORES.items()):
        for seed in range(len(scores)):
            made.append(SweepJob(len(made), point, {"model": model}, seed, f"{len(made)}-{model}", "done"))
    made[6].state, made[6].error = JobState.FAILED, 'it said, "no"'
    return made


def results(jobs, mode="min"):
    scores = [score for own in SCORES.values() for score in own]
    return {
        job.number: RunResult("done", 2.0, 1.0, "val/fd", mode, score) for job, score in zip(jobs, scores, strict=True)
    }


def test_points_are_ranked_by_their_mean_and_those_without_a_score_come_last(jobs):
    ranked = ranking.rank_points(jobs, results(jobs), "min")
    assert [standing.values["model"] for standing in ranked] == ["b", "d", "a", "c"]
    assert [standing.mean for standing in ranked[:3]] == [1.5, 3.0, 5.0]
    assert [standing.values["model"] for standing in ranking.rank_points(jobs, results(jobs, "max"), "max")] == list(
        "adbc"
    )


def test_the_deviation_is_that_of_a_sample_and_nan_for_a_single_seed(jobs):
    b, d, a, c = ranking.rank_points(jobs, results(jobs), "min")
    assert a.deviation == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    assert b.deviation == pytest.approx(math.sqrt(0.5))
    assert math.isnan(d.deviation)
    assert math.isnan(c.mean)
    assert [len(standing.scores) for standing in (b, d, a, c)] == [2, 1, 3, 0]


@pytest.mark.parametrize(("mode", "number"), [("min", 0), ("max", 2)])
def test_the_best_run_of_a_point_is_that_of_its_best_score(jobs, mode, number):
    (standing,) = (s for s in ranking.rank_points(jobs, results(jobs, mode), mode) if s.values["model"] == "a")
    assert ranking.best_job(standing).number == number


def test_leaderboard_csv_has_a_row_per_job_with_the_mean_of_its_point(jobs, tmp_path):
    path = ranking.write_leaderboard(tmp_path, [ranking.rank_points(jobs, results(jobs), "min")], ["model"])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert [row["rank"] for row in rows] == ["1"] * 3 + ["2"] * 4 + [""] * 3
    assert [row["score"] for row in rows[:3]] == ["1.0", "", "2.0"]
    assert {row["mean"] for row in rows[:3]} == {"1.5"}
    assert {row["seeds"] for row in rows[:3]} == {"2"}
    assert (rows[7]["state"], rows[7]["error"], rows[7]["score"]) == ("failed", 'it said, "no"', "")
    assert rows[0]["folder"] == "3-b"


def test_the_table_shows_scores_seeds_and_states(jobs, capsys):
    ranked = ranking.rank_points(jobs, results(jobs), "min")
    PlainConsole(width=120, soft_wrap=True).print(ranking.leaderboard_table(ranked, ["model"], "val/fd"))
    lines = [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]
    assert "1 b 1.5 0.707 2/3, 1 no score 3" in lines
    assert "2 d 3 1/1 9" in lines
    assert "c 0/3, 1 failed, 2 no score" in lines
    for job in jobs[3:6]:
        job.state = "pruned"
    long = [*jobs, SweepJob(10, 9, {"model": "0.000123456789", "optimizer.betas.0": "0"}, 0, "10-d", "running")]
    ranked = ranking.rank_points(long, results(long[:-1]) | {10: RunResult("running", score=5.0)}, "min")
    PlainConsole(width=100).print(ranking.leaderboard_table(ranked, ["optimizer.betas.0", "model"], "val/fd"))
    said = capsys.readouterr().out
    assert "0.0001235" in said
    assert "betas.0" in said
    assert "3 pruned" in " ".join(said.replace("│", " ").split())
    assert "running" in said


def test_scores_with_different_protocols_are_ranked_separately(jobs):
    found = results(jobs)
    for number in (0, 1, 2):
        found[number].protocol = {"score": "val/fd", "samples": "100"}
    for number in (3, 5, 9):
        found[number].protocol = {"score": "val/fd", "samples": "200"}
    groups = ranking.group_comparable(jobs, found)
    assert [[job.number for job in own] for own in groups] == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9]]
    assert ranking.explain_groups(groups, found)[1:] == [
        "  runs 0, 1, 2, 6, 7, 8: samples 100",
        "  runs 3, 4, 5, 9: samples 200",
    ]


def rank_scores(error=math.nan, **scores):
    """Points with these scores over seeds, of which lower is better, each of this standard error, ranked."""
    jobs = [
        SweepJob(0, k, {"model": name}, seed, name)
        for k, name in enumerate(scores)
        for seed in range(len(scores[name]))
    ]
    for number, job in enumerate(jobs):
        job.number = number
    found = [
        RunResult("done", 9.0, 1.0, "val/fd", "min", score, error=error) for own in scores.values() for score in own
    ]
    return ranking.rank_points(jobs, dict(enumerate(found)), "min")


@pytest.mark.parametrize(
    ("scores", "ranks"),
    [
        ({"a": [1.0, 1.1, 0.9], "b": [5.0, 5.1, 4.9], "c": [9.0, 9.1, 8.9]}, {"a": 1, "b": 2, "c": 3}),
        ({"a": [1.0, 3.0, 2.0], "b": [2.5, 1.5, 3.5], "c": [9.0, 9.1, 8.9]}, {"a": 1, "b": 1, "c": 3}),
        ({"a": [1.0, 1.1, 0.9], "b": [2.0, 2.1, 1.9], "c": [0.0, 9.0, 4.0]}, {"a": 1, "b": 2, "c": 2}),
        ({"a": [2.0], "b": [1.0], "c": [1.5]}, {"b": 1, "c": 2, "a": 3}),
        ({"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [2.0, 2.0]}, {"a": 1, "b": 1, "c": 3}),
    ],
    ids=["apart", "overlap", "wide", "one seed", "no spread"],
)
def test_points_that_chance_may_have_ordered_share_a_rank(scores, ranks):
    ranked = rank_scores(**scores)
    assert {point.values["model"]: point.rank for point in ranked} == ranks
    assert [point.rank for point in ranked] == sorted(ranks.values())
    note = ranking.describe_ranks(ranked)
    assert ("same rank" in note) == (len(set(ranks.values())) < len(ranks))
    assert ("one seed" in note) == (len(scores["a"]) == 1)


@pytest.mark.parametrize(("error", "ranks"), [(0.1, [1, 2, 3]), (0.3, [1, 1, 3]), (1.0, [1, 1, 1])])
def test_points_with_one_seed_share_a_rank_if_other_samples_may_change_their_order(error, ranks):
    ranked = rank_scores(error, a=[1.0], b=[1.8], c=[3.0])  # 1.96 standard errors of a difference: 0.28, 0.83, 2.8
    assert [point.rank for point in ranked] == ranks
    note = ranking.describe_ranks(ranked)
    assert ("by the errors of their scores over sets of samples" in note) == (ranks != [1, 2, 3])
    assert "seeds (Welch" not in note
    assert "Each point has one seed, so their order may be chance." in note


def test_the_error_of_a_mean_over_seeds_counts_beside_a_single_seed():
    ranked = rank_scores(0.4, a=[1.0, 1.0, 1.0, 1.0], b=[1.8], c=[1.9])  # of the difference of a and b: 0.45
    assert [point.rank for point in ranked] == [1, 1, 2]
    assert "by their seeds" not in ranking.describe_ranks(ranked)


def test_runs_of_very_different_length_are_named():
    (point,) = rank_scores(a=[1.0, 2.0, 3.0])
    for number, kimg in enumerate((100.0, 49.0, 50.0)):
        point.results[number].kimg, point.results[number].history = kimg, [(kimg, 1.0)]
    found = ranking.describe_lengths(point.jobs, point.results)
    assert "the longest run has 100 kimg" in found
    assert found.endswith("runs 1 (49).")
    point.results[1].kimg = 51.0
    assert ranking.describe_lengths(point.jobs, point.results) == ""


def test_columns_and_names_have_only_what_tells_points_apart():
    values = [{"loss": "w", "model": "wgan", "lr": "1", "x": "0"}, {"loss": "h", "model": "sngan", "lr": "1", "x": "0"}]
    values.append(values[0] | {"lr": "2"})
    points = [ranking.PointResult(k, own, [], {}) for k, own in enumerate(values)]
    assert ranking.varying_keys(points, ["loss", "model", "lr", "x"]) == ["loss", "model", "lr"]
    assert ranking.distinguishing_keys(points, ["loss", "model", "lr", "x"]) == ["model", "lr"]
    assert ranking.point_name(points[2], ["model", "lr"]) == "model=wgan, lr=2"


def test_values_that_look_like_markup_are_printed_unchanged(jobs, capsys):
    jobs[9].values["model"] = "[/x] [relu]"
    ranked = ranking.rank_points(jobs[9:], results(jobs), "min")
    PlainConsole(width=120, soft_wrap=True).print(ranking.leaderboard_table(ranked, ["model"], "val/fd"))
    assert "[/x] [relu]" in capsys.readouterr().out


def test_points_without_a_setting_have_an_empty_cell(tmp_path):
    jobs = [SweepJob(0, 0, {"model": "gan"}, 0, "0"), SweepJob(1, 1, {"model": "wgan", "model.c": "1"}, 0, "1")]
    found = {k: RunResult("done", metric="val/fd", score=float(k)) for k in range(2)}
    ranked = ranking.rank_points(jobs, found, "min")
    with ranking.write_leaderboard(tmp_path, [ranked], ["model", "model.c"]).open(newline="") as file:
        assert [(row["model"], row["model.c"], row["seed"]) for row in csv.DictReader(file)] == [
            ("gan", "", "0"),
            ("wgan", "1", "0"),
        ]
    shown = ranking.leaderboard_table(ranked, ["model", "model.c"], "val/fd")
    assert [[*column.cells] for column in shown.columns][1:3] == [["gan", "wgan"], ["", "1"]]
