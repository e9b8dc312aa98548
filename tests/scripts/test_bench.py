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
    subject = SimpleNamespace(NOTE="What this is.", measure=lambda rounds, is_quick: [RATIO, FIGURE])
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
    assert (lines[0], lines[-1]) == ("What this is.", "a third: peak_gb 1.25")
    assert lines[-2].split() == ["a", "work", "another", "2.000", "1.000-4.000", "3"]
    written = json.loads((bench.BENCHMARKS / "metrics.json").read_text())
    assert written == [bench.summarize(RATIO), bench.summarize(FIGURE)]


def test_a_quick_run_writes_nothing(bench, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench.py", "metrics", "--quick"])
    bench.main()
    assert not bench.BENCHMARKS.exists()


def test_each_subject_has_a_module(bench):
    assert all((Path(bench.__file__).parent / f"bench_{subject}.py").is_file() for subject in bench.SUBJECTS)
