"""The benchmark of the training step on a GPU, run on the CPU."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.benches import load_script


@pytest.fixture
def bench(monkeypatch):
    with load_script("bench_gpu", monkeypatch) as module:
        yield module


def test_traffic_counts_what_operations_read_and_write_without_views(bench):
    a, b = torch.ones(4, 8), torch.ones(8, 2)
    with bench.Traffic() as traffic:
        c = a @ b
        c.t().relu_()
    assert traffic.bytes == 4 * (4 * 8 + 8 * 2 + 4 * 2) + 2 * 4 * (4 * 2)


def multiplications(side, width, z_dim=100, channels=3):
    """Return the operations of DCGAN's generator for an image; the discriminator has the same, except for z."""
    layers, smallest = [], 4
    outputs = width * side // 2 // smallest
    first = z_dim * outputs * smallest**2
    while smallest < side:
        following = channels if smallest * 2 == side else outputs // 2
        layers.append(smallest**2 * outputs * following * 16)  # a kernel of 4x4 at each position of the smaller map
        smallest, outputs = smallest * 2, following
    return 2 * first, 2 * sum(layers), 2 * layers[-1]


def test_the_arithmetic_of_a_batch_is_that_of_its_passes(bench):
    """Forward passes: G 2, D 3. In D's turn, gradients of weights and, except in the first layer, of inputs."""
    work = replace(bench.WORKS[0], overrides=[*bench.WORKS[0].overrides, "batch_size=2", "network.width=8"])
    watch = bench.train(replace(work, batches=1, images=20), [], bench.Watch(1, counts=True, trace=None))
    first, rest, outermost = multiplications(64, 8)
    score = 2 * 16 * 64
    g, d = first + rest, rest + score
    d_turn = g + 2 * d + 2 * (2 * d - outermost)
    g_turn = g + d + d + g + rest  # D's inputs; G's weights, and inputs but for z
    assert watch.flops == pytest.approx(2 * (d_turn + g_turn), rel=0.01)
    assert watch.bytes > 0
    assert len(watch.seconds) == bench.WINDOWS


@pytest.mark.slow
def test_each_optimization_is_timed_against_the_first_and_graphs_only_on_a_gpu(bench):
    work = bench.shrink(bench.WORKS[0])
    rows = [*bench.measure_optimizations(work, {"flops": 1e12, "bytes": 1e12}, Path("unused"))]
    names = [name for name in bench.OPTIMIZATIONS if bench.ON_CUDA or name not in bench.NEEDS_CUDA]
    assert [row["work"] for row in rows if "ratios" not in row] == [f"{work.name}: {name}" for name in names]
    assert [row["work"] for row in rows if "ratios" in row] == [f"{work.name}: {name}" for name in names[1:]]
    assert all(len(row["ratios"]) == bench.WINDOWS for row in rows if "ratios" in row)
    assert bench.compare_losses(work)["largest_difference"] < 1e-4
