"""dry_run=true: what it checks, what it measures, and that it leaves nothing behind."""

import re
import time

import pytest
import torch
from helpers.model_training import SMALL_DIGITS, job_of
from helpers.runs import QUIET
from PIL import Image

from ganrun.cli.main import main
from ganrun.config.trial import activation_bytes, example_batch, try_players
from ganrun.files import cache_dir
from ganrun.metrics.extractors.weights import INCEPTION
from ganrun.training import rehearsal
from ganrun.training.rehearsal import BatchTimer, made_up_examples, rehearse

DCGAN = ["model=dcgan", "network.width=4", *SMALL_DIGITS]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plan(capsys, *args):
    """The lines of a plan, without frames."""
    assert main(["train", *args, "dry_run=true"]) == 0
    return [" ".join(re.sub("[│┃]", " ", line).split()) for line in capsys.readouterr().out.splitlines()]


def test_a_plan_has_count_time_memory_and_disk_and_writes_nothing(tmp_path, capsys):
    lines = plan(capsys, *DCGAN, "kimg=4", "metrics=none", "trainer.precision=32")
    text = "\n".join(lines)
    assert "examples 9,000 for training" in lines
    seconds, speed = re.search(r"^time about (\d+:\d+) without scoring: ([\d,]+) images/s", text, re.M).groups()
    minutes, rest = map(int, seconds.split(":"))
    assert 60 * minutes + rest == pytest.approx(4000 / int(speed.replace(",", "")), abs=1)
    assert re.search(r"^memory [\d.]+ [MG]B for this process at the peak, with activations$", text, re.M)
    assert re.search(r"^disk 2 checkpoints of about [\d.]+ kB; [\d.]+ [GT]B are free$", text, re.M)
    assert [*tmp_path.iterdir()] == []


def test_the_time_is_at_most_the_limit_in_minutes(capsys):
    assert any(line.startswith("time about 0:03 ") for line in plan(capsys, *DCGAN, "metrics=none", "minutes=0.05"))


def test_the_plan_of_a_run_that_goes_on_is_of_what_is_left(tmp_path, capsys):
    assert main(["train", *DCGAN, "kimg=0.04", *QUIET, "folder=run"]) == 0
    for verb, more in (("resume", ()), ("branch", ["branch=true"])):
        capsys.readouterr()
        assert main(["resume", "run", *more, "kimg=4.04", "dry_run=true"]) == 0
        lines = [" ".join(re.sub("[│┃]", " ", line).split()) for line in capsys.readouterr().out.splitlines()]
        (length,) = (line for line in lines if line.startswith("length "))
        assert re.fullmatch(r"length 4.04 kimg, of which 0.04 kimg and 0:\d\d are done", length), verb
        size = int(next(line.split()[4] for line in lines if line.startswith("batches ")))
        assert f"batches {-(-4000 // size):,} batches of {size} examples" in lines
        seconds, speed = re.search(r"time about (\d+:\d+) .*: ([\d,]+) images/s", "\n".join(lines)).groups()
        minutes, rest = map(int, seconds.split(":"))
        assert 60 * minutes + rest == pytest.approx(4000 / int(speed.replace(",", "")), abs=1)


def test_the_plan_names_the_model_that_was_not_chosen(capsys):
    assert "model dcgan, with network=dcgan" in plan(capsys, *DCGAN[1:], "metrics=none")


@pytest.mark.parametrize("model", ["dcgan", "wgan"])
def test_checkpoints_have_the_size_that_the_plan_says(model, tmp_path, capsys):
    args = [f"model={model}", "network.width=16", *SMALL_DIGITS, "kimg=0.04", *QUIET]
    (planned,) = (line for line in plan(capsys, *args) if line.startswith("disk "))
    amount, unit = re.search(r"about ([\d.]+) (kB|MB)", planned).groups()
    assert main(["train", *args, "folder=run"]) == 0
    size = max(path.stat().st_size for path in (tmp_path / "run" / "checkpoints").glob("*.ckpt"))
    assert float(amount) * {"kB": 1e3, "MB": 1e6}[unit] == pytest.approx(size, rel=0.25)


def test_permanent_checkpoints_are_counted(capsys):
    permanent = ["kimg=100", "checkpoint.every_kimg=10", "metrics=none"]
    assert any(line.startswith("disk 12 checkpoints") for line in plan(capsys, *DCGAN, *permanent))
    assert any(line.startswith("disk 5 checkpoints") for line in plan(capsys, *DCGAN, *permanent, "checkpoint.keep=3"))


def test_files_of_a_folder_are_counted_without_reading_them(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.new("RGB", (32, 32)).save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "pictures" / "damaged.png").write_bytes(b"no picture")
    args = ["model=dcgan", "network.width=4", "batch_size=4", "metrics=none", "data=folder", "data.size=32"]
    lines = plan(capsys, *args, "data.root=pictures")
    assert "examples 4 files in pictures" in lines
    assert {path.name for path in tmp_path.iterdir()} == {"pictures"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["metrics.weights=nix.pth"], "metrics.weights=nix.pth: there is no such file"),
        (["logger=wandb"], "logger=wandb needs the package wandb: pip install wandb"),
        (["callbacks.signals=null"], "callbacks must include Signals"),
        (["init_from=nix"], "init_from=nix"),
    ],
)
def test_what_a_start_would_refuse_is_refused(args, message, capsys, tmp_path):
    assert main(["train", *DCGAN, *args, "dry_run=true"]) == 2
    assert message in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_a_damaged_weight_file_is_found(tmp_path, capsys):
    (tmp_path / "broken.safetensors").write_bytes(b"x" * 100)
    assert main(["train", *DCGAN, "metrics.weights=broken.safetensors", "dry_run=true"]) == 2
    assert "cannot be read as a weight file" in capsys.readouterr().err


def test_weights_that_must_be_downloaded_are_named_and_not_downloaded(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    lines = plan(capsys, *DCGAN, "metrics=inception")
    assert f"download the Inception weights (96 MB), to {cache_dir()}" in lines
    assert not [*tmp_path.rglob(INCEPTION.file)]


def test_the_stopwatch_leaves_out_the_first_batches():
    watch = BatchTimer()
    watch.marks = [(0.0, 0), (9.0, 10), (10.0, 20), (11.0, 30), (11.5, 40), (12.0, 50)]
    assert watch.images_per_second() == 20
    watch.marks = [(0.0, 0), (4.0, 10)]  # a single batch
    assert watch.images_per_second() == 2.5


def test_the_measured_speed_is_that_of_the_batches(monkeypatch):
    """A loss that sleeps 20 ms: 4 images in 40 ms or a little more."""
    experiment = job_of(*DCGAN)
    original = experiment.model.take_turn

    def take_turn(*args):
        time.sleep(0.02)
        return original(*args)

    monkeypatch.setattr(experiment.model, "take_turn", take_turn)
    monkeypatch.setattr(rehearsal, "SECONDS", 0.5)
    assert 20 < rehearse(experiment).images_per_second < 100


def test_made_up_examples_are_of_the_kinds_of_the_data_and_leave_it_as_it_was():
    data = job_of("model=cgan", "network.width=4", *SMALL_DIGITS).data
    with made_up_examples(data):
        batch = data.batch(0)
        assert (batch["x"].shape, batch["y"].shape) == ((4, 1, 28, 28), (4,))
        assert batch["x"].std() > 0.5
        assert data.train_count == 8
    assert data.train_count == 9000
    assert torch.equal(data.batch(0)["y"], job_of("model=cgan", *SMALL_DIGITS).data.batch(0)["y"])


def test_a_plan_says_that_the_memory_does_not_suffice(capsys, monkeypatch):
    def allocate(self, trainer, pl_module):
        torch.empty(1 << 60)

    monkeypatch.setattr(BatchTimer, "on_train_start", allocate)
    assert main(["train", *DCGAN, "metrics=none", "dry_run=true"]) == 1
    err = capsys.readouterr().err
    assert "This machine ran out of memory: it could not allocate" in err
    assert "batch_size=" in err


@pytest.mark.parametrize("name", ["digits", "unpaired_digits"])
def test_the_counts_that_data_declare_are_those_that_they_load(name):
    model = "cyclegan" if name.startswith("unpaired") else "dcgan"
    data = job_of(f"model={model}", f"data={name}").data
    assert data.source.train_count == data.train_count


def test_a_plan_loads_no_images(capsys, monkeypatch):
    monkeypatch.setattr("ganrun.data.digits.resize_images", lambda *args: pytest.fail("9,000 images of 1024 x 1024"))
    assert "examples 500 for training" in plan(capsys, *DCGAN, "metrics=none", "kimg=1", "data.limit=500")


def test_activations_are_those_that_a_step_on_the_cpu_keeps():
    job = job_of("model=dcgan", "network.width=4", *SMALL_DIGITS)
    kept = {}

    def keep(saved):
        kept[saved.untyped_storage().data_ptr()] = saved.untyped_storage()
        return saved

    found = activation_bytes(job.model, job.data)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        try_players(job.model, example_batch(job.model, job.data, "cpu", job.data.batch_size))
    assert found == pytest.approx(sum(storage.nbytes() for storage in kept.values()) / 2, rel=0.1)
    scores = job.data.batch_size * 4
    assert found > 100 * scores


def test_a_plan_does_not_train_where_a_batch_takes_more_than_the_free_memory(capsys, monkeypatch):
    monkeypatch.setattr("ganrun.training.rehearsal.free_bytes", lambda cfg: 100_000)
    monkeypatch.setattr(BatchTimer, "on_train_start", lambda *args: pytest.fail("it trains"))
    (line,) = (line for line in plan(capsys, *DCGAN, "metrics=none", "kimg=1") if line.startswith("time "))
    assert re.match(
        r"time not measured: the activations of a batch take more than [\d.]+ [kM]B, and 100 kB are free\. ", line
    )
    assert "Try batch_size=" in line
