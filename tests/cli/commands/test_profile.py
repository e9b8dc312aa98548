"""ganrun train profile=true: a table and a trace, and the same weights."""

import gzip
import json
import time
from collections import Counter

import pytest
import torch

from ganrun.data.batches import TrainingBatches
from ganrun.models.wgan import WGAN
from ganrun.training.callbacks.profiling import TRACED

WORDS = [
    *("model=wgan", "data=ring", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "batch_size=4"),
    *("kimg=0.12", "metrics=none", "logger=none", "ema.half_life_kimg=0.01", "trainer.accelerator=cpu"),
]  # 30 batches, of which the generator moves in every fifth


def table(run):
    """Part -> (milliseconds a batch, share)."""
    lines = (run / "profile" / "table.txt").read_text().splitlines()
    assert lines[0] == "time of 30 batches"
    rows = [line.rsplit(maxsplit=2) for line in lines[2:]]
    return {name.strip(): (float(ms), float(share.rstrip("%")) / 100) for name, ms, share in rows}


def slowed(monkeypatch, owner, name, seconds):
    before = getattr(owner, name)

    def slow(*arguments, **settings):
        time.sleep(seconds)
        return before(*arguments, **settings)

    monkeypatch.setattr(owner, name, slow)


def test_time_is_found_where_it_was_spent(cli, monkeypatch, capfd):
    slowed(monkeypatch, TrainingBatches, "_gathered", 0.01)
    slowed(monkeypatch, WGAN, "generator_loss", 0.1)  # in 6 of 30 batches: 20 ms a batch
    assert cli.run("train", *WORDS, "profile=true", "folder=run") == 0
    found = table(cli.folder / "run")
    assert 10 <= found["data"][0] < found["generator"][0]
    assert found["generator"][0] >= 20
    assert sum(share for _, share in found.values()) == pytest.approx(1, abs=0.01)
    assert {"discriminator", "averages", "pictures", "checkpoints"} <= found.keys()
    out = capfd.readouterr().out
    assert "time of 30 batches" in out
    assert "trace.json.gz" in out


def test_the_trace_names_the_parts_of_each_traced_batch(cli):
    assert cli.run("train", *WORDS, "profile=true", "folder=run") == 0
    packed = (cli.folder / "run" / "profile" / "trace.json.gz").read_bytes()
    events = json.loads(gzip.decompress(packed))["traceEvents"]
    count = Counter(event.get("name") for event in events if event.get("cat") == "user_annotation")
    assert (count["discriminator"], count["generator"]) == (TRACED, 1)
    assert count["data"] == TRACED + 1  # Lightning's step ends after batch 16, and asks in vain for a 17th
    assert any(event.get("name") == "aten::linear" for event in events)


def test_a_profile_changes_no_weight_and_a_training_without_has_none(cli):
    assert cli.run("train", *WORDS, "profile=true", "folder=a") == 0
    assert cli.run("train", *WORDS, "folder=b") == 0
    assert not (cli.folder / "b" / "profile").exists()
    a, b = (weights(cli.folder / name) for name in "ab")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_training_that_ends_before_the_trace_has_its_table(cli, capfd):
    assert cli.run("train", *WORDS, "kimg=0.02", "profile=true", "folder=run") == 0
    out = capfd.readouterr().out
    assert "time of 5 batches" in out
    assert "trace.json.gz" not in out


def weights(run):
    (newest,) = [json.loads((run / "checkpoints" / "manifest.json").read_text())["last"]]
    return torch.load(run / "checkpoints" / newest, weights_only=True)["state_dict"]
