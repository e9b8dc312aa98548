"""ganrun train profile=true writes a table and a trace, and does not change the weights."""

import gzip
import json
import time
from collections import Counter

import pytest
import torch

from ganrun.data.batches import TrainingBatches
from ganrun.models.wgan import WGAN
from ganrun.training.callbacks.profiling import TRACED

WGAN_ARGS = [
    *("model=wgan", "data=ring", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "batch_size=4"),
    *("kimg=0.12", "metrics=none", "logger=none", "ema.half_life_kimg=0.01", "trainer.accelerator=cpu"),
]  # 30 batches, the generator trains on every fifth


def read_table(run):
    """{part: (milliseconds per batch, share)}."""
    lines = (run / "profile" / "table.txt").read_text().splitlines()
    assert lines[0] == "time of 30 batches"
    rows = [line.rsplit(maxsplit=2) for line in lines[2:]]
    return {name.strip(): (float(ms), float(share.rstrip("%")) / 100) for name, ms, share in rows}


def slow_down(monkeypatch, owner, name, seconds):
    before = getattr(owner, name)

    def slow(*arguments, **settings):
        time.sleep(seconds)
        return before(*arguments, **settings)

    monkeypatch.setattr(owner, name, slow)


def test_the_table_shows_where_the_time_went(cli, monkeypatch, capfd):
    slow_down(monkeypatch, TrainingBatches, "_gather", 0.01)
    slow_down(monkeypatch, WGAN, "generator_loss", 0.1)  # in 6 of 30 batches: 20 ms a batch
    assert cli.run("train", *WGAN_ARGS, "profile=true", "folder=run") == 0
    times = read_table(cli.folder / "run")
    assert 10 <= times["data"][0] < times["generator"][0]
    assert times["generator"][0] >= 20
    assert sum(share for _, share in times.values()) == pytest.approx(1, abs=0.01)
    assert {"discriminator", "averages", "pictures", "checkpoints"} <= times.keys()
    out = capfd.readouterr().out
    assert "time of 30 batches" in out
    assert "trace.json.gz" in out


def test_the_trace_names_the_parts_of_each_batch(cli):
    assert cli.run("train", *WGAN_ARGS, "profile=true", "folder=run") == 0
    packed = (cli.folder / "run" / "profile" / "trace.json.gz").read_bytes()
    events = json.loads(gzip.decompress(packed))["traceEvents"]
    count = Counter(event.get("name") for event in events if event.get("cat") == "user_annotation")
    assert (count["discriminator"], count["generator"]) == (TRACED, 1)
    assert count["data"] == TRACED + 1  # Lightning asks for a 17th batch before its step ends
    assert any(event.get("name") == "aten::linear" for event in events)


def test_profiling_does_not_change_the_weights(cli):
    assert cli.run("train", *WGAN_ARGS, "profile=true", "folder=a") == 0
    assert cli.run("train", *WGAN_ARGS, "folder=b") == 0
    assert not (cli.folder / "b" / "profile").exists()
    a, b = (weights(cli.folder / name) for name in "ab")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_that_ends_before_the_trace_still_has_a_table(cli, capfd):
    assert cli.run("train", *WGAN_ARGS, "kimg=0.02", "profile=true", "folder=run") == 0
    out = capfd.readouterr().out
    assert "time of 5 batches" in out
    assert "trace.json.gz" not in out


def weights(run):
    (newest,) = [json.loads((run / "checkpoints" / "manifest.json").read_text())["last"]]
    return torch.load(run / "checkpoints" / newest, weights_only=True)["state_dict"]
