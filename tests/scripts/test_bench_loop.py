"""The benchmark of the training step: the same work on all sides, in alternation."""

from dataclasses import replace

import pytest
import torch
from helpers.benches import load_script


@pytest.fixture
def bench(monkeypatch):
    with load_script("bench_loop", monkeypatch) as module:
        yield module


FEW = ["network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "batch_size=16"]
TINY = {
    "SMALL": FEW,
    "RING": FEW,
    "CYCLEGAN": ["network.width=4", "network.blocks=1", "data.size=32"],
}


def small(bench, name):
    """Return the work with few, narrow layers and few images."""
    work = getattr(bench, name)
    changes = TINY.get(name, ["network.width=4", "batch_size=8"])
    return replace(work, overrides=[*work.overrides, *changes], images=work.images and 20)


def test_rows_in_bfloat16_are_measured_where_the_cpu_computes_it(bench):
    names = [work.name for work in bench.WORKS if work.name.endswith(", bf16")]
    expected = [f"{work.name}, bf16" for work in (bench.DCGAN, bench.DIGITS, bench.CYCLEGAN, bench.PENALIZED_WGAN)]
    assert names == (expected if bench.computes_bfloat16() else [])
    assert [*bench.parts(None, False)] == [work.title for work in bench.WORKS]


@pytest.mark.parametrize("name", ["DCGAN", "DIGITS", "CYCLEGAN"])
def test_ganrun_computes_in_bfloat16_and_the_others_in_float32(bench, monkeypatch, name):
    work, found = bench.in_bfloat16(small(bench, name)), []
    build_model = bench.build.build_model

    def watched(*arguments):
        model, dtypes = build_model(*arguments), set()

        def look(module, inputs, output):
            if module.training and not output.is_meta:
                dtypes.add(output.dtype)

        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(look)
        found.append(dtypes)
        return model

    monkeypatch.setattr(bench.build, "build_model", watched)
    bench.run_alternately(work, rounds=1, batches=1)
    assert found == [{torch.bfloat16}, *[{torch.float32}] * len(work.others)]


def passes(model):
    """Count the examples that pass each network in training: {"generator": 0, ...}; meta tensors do not count."""
    counts = {}
    for name, network in networks(model):
        counts[name] = 0

        def count(network, inputs, name=name):
            if network.training and not inputs[0].is_meta:
                counts[name] += len(inputs[0])

        network.register_forward_pre_hook(count)
    return counts


def networks(model):
    return [(name, network) for name, network in model.named_children() if [*network.parameters()]]


WORKS = ["SMALL", "RING", "DCGAN", "DIGITS", "WGAN", "CYCLEGAN"]


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKS)
def test_all_sides_do_the_same_batches_and_passes_alternately_and_are_compared_one_by_one(bench, monkeypatch, name):
    work, counts = small(bench, name), []
    build_model = bench.build.build_model

    def counted(*arguments):
        model = build_model(*arguments)
        counts.append(passes(model))
        return model

    monkeypatch.setattr(bench.build, "build_model", counted)
    rounds = bench.run_alternately(work, rounds=4, batches=5)
    assert rounds.our_batches == 25
    assert {other.batches for other in rounds.others.values()} == {25}
    assert len(rounds.ours) == 5
    ours, *theirs = counts
    assert min(ours.values()) >= 5
    assert len(theirs) == len(work.others)
    assert theirs == [ours] * len(work.others)
    for result, other in zip(bench.list_ratios(work, rounds), work.others, strict=True):
        assert (result["work"], result["against"], len(result["ratios"])) == (work.name, other.label, 4)
        assert min(result["ratios"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKS)
def test_every_peer_starts_from_the_models_weights_and_trains_all_networks(bench, tmp_path, name):
    work = small(bench, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
        job = bench.build_work(work, tmp_path)
    for peer in work.others:
        other = peer(job)
        pairs = [*zip(networks(job.model), networks(other.nets), strict=True)]
        assert pairs
        assert all(same(ours, theirs) for (_, ours), (_, theirs) in pairs)
        other.seconds(5)
        assert not any(same(ours, theirs) for (_, ours), (_, theirs) in pairs)
        other.close()


def same(a, b):
    return all(torch.equal(v, w) for v, w in zip(a.parameters(), b.parameters(), strict=True))
