"""The benchmark script: its confidence interval and its output."""

import json
import sys
from importlib import import_module
from math import comb
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

RATIO = {"work": "a work", "against": "another", "ratios": [2.0, 1.0, 4.0]}
FIGURE = {"work": "a third", "peak_gb": 1.25}


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The script, with a subject that is measure at once and a folder of its own."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    module, threads = import_module("bench"), torch.get_num_threads()
    subject = SimpleNamespace(
        NOTE="What this is.",
        parts=lambda rounds, is_quick: {"a work": lambda: [RATIO], "a work, twice": lambda: [FIGURE]},
    )
    monkeypatch.setitem(sys.modules, "bench_metrics", subject)
    monkeypatch.setattr(module, "BENCHMARKS", tmp_path / "benchmarks")
    yield module
    torch.set_num_threads(threads)


@pytest.mark.parametrize("n", [6, 15, 21, 30])
def test_the_interval_is_the_narrowest_pair_of_order_statistics_with_its_confidence(bench, n):
    low, high = bench.confidence_interval(list(range(1, n + 1)))
    missed = [2 * sum(comb(n, i) for i in range(k)) / 2**n for k in (low, low + 1)]
    assert low + high == n + 1
    assert missed[0] <= 0.05 < missed[1]


def test_the_interval_of_few_rounds_is_their_extremes(bench):
    assert bench.confidence_interval([2.0, 1.0, 3.0]) == (1.0, 3.0)


def test_a_summary_has_the_median_of_the_ratios_between_its_bounds(bench):
    assert [*bench.summarize(RATIO)] == ["work", "against", "ratio", "low", "high", "rounds", "machine"]
    assert [*bench.summarize(RATIO).values()][:-1] == ["a work", "another", 2.0, 1.0, 4.0, 3]


def test_results_are_printed_with_their_note_and_written(bench, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench.py", "metrics"])
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-2]) == ("What this is.", "a third: peak_gb 1.25")
    assert lines[-1] == "0.0 minutes in all"
    assert lines[-3].split() == ["a", "work", "another", "2.000", "1.000-4.000", "3"]
    written = json.loads((bench.BENCHMARKS / "metrics.json").read_text())
    assert written == [bench.summarize(RATIO), bench.summarize(FIGURE)]


def test_a_result_is_printed_before_the_next_work_is_measured(bench, capsys):
    def later():
        assert "another" in capsys.readouterr().out
        return [FIGURE]

    assert len(bench.run_parts({"first": lambda: [RATIO], "then": later})) == 2


@pytest.mark.parametrize(("text", "names"), [("a work", ["a work"]), ("work", ["a work", "b work"]), ("b", ["b work"])])
def test_only_chooses_the_work_of_that_name_or_those_that_have_it_in_theirs(bench, text, names):
    assert [*bench.choose_parts({"a work": 1, "b work": 2}, text)] == names


def test_only_explains_a_name_that_no_work_has(bench):
    with pytest.raises(SystemExit, match="There are:\n  a work"):
        bench.choose_parts({"a work": 1}, "dcgan")


def test_only_replaces_its_rows_in_the_file(bench, monkeypatch):
    for arguments in ([], ["--only", "a work"]):
        monkeypatch.setattr(sys, "argv", ["bench.py", "metrics", *arguments])
        bench.main()
        written = json.loads((bench.BENCHMARKS / "metrics.json").read_text())
        assert written == [bench.summarize(RATIO), bench.summarize(FIGURE)]


def test_a_quick_run_writes_nothing(bench, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench.py", "metrics", "--quick"])
    bench.main()
    assert not bench.BENCHMARKS.exists()


def test_each_subject_has_a_module_with_parts(bench):
    for subject in bench.SUBJECTS:
        source = (Path(bench.__file__).parent / f"bench_{subject}.py").read_text()
        assert "\ndef parts(rounds: int | None, is_quick: bool) -> dict[str, Callable" in source
