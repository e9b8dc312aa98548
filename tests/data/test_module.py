"""The DataModule: what models, metrics and the trainer ask it."""

import itertools
import logging
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from ganrun.data.digits import Digits
from ganrun.data.gaussians import Ring
from ganrun.data.images import to_float
from ganrun.data.module import proportional_labels
from ganrun.data.unpaired_digits import UnpairedDigits
from ganrun.errors import UserError

RING = {
    "modes": 8,
    "radius": 1.0,
    "sigma": 0.01,
    "points": 2000,
    "gives": ("x", "y", "point"),
    "shape": [2],
    "classes": 8,
}


@pytest.fixture
def digits(build):
    return build(Digits, size=28, channels=1, classes=10, reference=["train", "test"], batch_size=6)


@pytest.fixture
def ring(build):
    return build(Ring, **RING)


def test_a_batch_has_training_images_with_their_labels(digits):
    x, y = digits.batch(3).values()
    assert (x.shape, x.dtype, y.dtype) == ((6, 1, 28, 28), torch.float32, torch.int64)
    train = digits.contents.splits["train"]
    for picture, label in zip(x, y, strict=True):
        index = (to_float(train["x"]) == picture).flatten(1).all(dim=1).nonzero()[0, 0]
        assert train["y"][index] == label


def test_a_batch_of_points_is_not_scaled(ring):
    x, y = ring.batch(0).values()
    assert (x - ring.source.centers[y]).norm(dim=1).max() < 6 * ring.source.sigma


@pytest.mark.parametrize("batches_per_step", [1, 2, 16])
def test_the_loader_starts_at_the_start_batch_with_the_given_batches_per_step(digits, batches_per_step):
    digits.start_batch, digits.batches_per_step = 7, batches_per_step
    steps = [[*step] for step in itertools.islice(digits.train_dataloader(), 3)]
    assert [len(step) for step in steps] == 3 * [batches_per_step]
    for k, batch in enumerate(itertools.chain(*steps)):
        assert torch.equal(batch["x"], digits.batch(7 + k)["x"])


def test_a_rank_of_the_trainer_gets_its_slice(digits):
    digits.trainer = SimpleNamespace(
        global_rank=1, world_size=3, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )
    (batch,) = next(iter(digits.train_dataloader()))
    assert torch.equal(batch["y"], digits.batch(0)["y"][2:4])


class Recorder(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.seen = []

    def training_step(self, batches, _):
        self.seen += [batch["y"].clone() for batch in batches]

    def configure_optimizers(self):
        return None


@pytest.mark.filterwarnings("ignore")  # Lightning 2.6 uses what torch 2.13 deprecates
def test_the_trainer_sees_the_batches_in_order(digits, tmp_path):
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    model = Recorder()
    pl.Trainer(accelerator="cpu", max_steps=-1, limit_train_batches=4, max_epochs=1, **quiet).fit(model, digits)
    assert [y.tolist() for y in model.seen] == [digits.batch(k)["y"].tolist() for k in range(4)]


def test_the_seed_decides_the_order(build):
    first, same, other = (build(Ring, **RING, seed=seed).batch(0)["x"] for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_the_reference_comes_in_order_and_in_chunks(digits):
    chunks = list(digits.reference())
    splits = digits.contents.splits
    assert max(map(len, chunks)) == 512
    assert torch.equal(torch.cat(chunks), torch.cat([splits["train"]["x"], splits["test"]["x"]]))


@pytest.mark.parametrize("limit", [10_000, 50_000])
def test_a_limit_beyond_the_reference_gives_all_of_it(digits, limit):
    assert torch.equal(torch.cat(list(digits.reference(limit=limit))), torch.cat(list(digits.reference())))


def test_a_limited_reference_is_a_fixed_random_sample(build):
    points = 8000
    ring = build(Ring, **(RING | {"points": points, "sigma": 1e-4}))
    everything = torch.cat(list(ring.reference()))
    sample, again = (torch.cat(list(ring.reference(limit=800))) for _ in range(2))
    assert torch.equal(sample, again)
    assert len(sample) == len(sample.unique(dim=0)) == 800
    assert (torch.cdist(sample, everything).min(dim=1).values == 0).all()
    modes = torch.bincount(torch.cdist(sample, ring.source.centers).argmin(dim=1), minlength=8)
    assert (modes - 100).abs().max() < 5 * 100**0.5


def test_a_missing_key_is_named(digits):
    with pytest.raises(UserError, match="data=digits has no b"):
        next(digits.reference("b"))


def test_labels_of_balanced_classes_cycle(digits):
    assert digits.labels(23).tolist() == [i % 10 for i in range(23)]


@pytest.mark.parametrize("counts", [[1, 1], [5, 1], [3, 0, 7], [900] * 3, [1, 2, 3, 4]])
def test_every_prefix_of_the_labels_has_the_proportions(counts):
    counts = torch.tensor(counts)
    labels = proportional_labels(counts, 3 * int(counts.sum()))
    share = counts / counts.sum()
    for n in range(1, len(labels) + 1):
        assert (torch.bincount(labels[:n], minlength=len(counts)) - n * share).abs().max() <= len(counts) / 2
    assert torch.bincount(labels, minlength=len(counts)).tolist() == (3 * counts).tolist()


def test_labels_of_data_without_labels_are_refused(build):
    with pytest.raises(UserError, match="no labels"):
        build(UnpairedDigits, gives=("a", "b", "picture"), size=28, channels=3, classes=0).labels(3)


def test_the_test_split_is_read_in_file_order_and_scaled(digits):
    test = digits.contents.splits["test"]
    assert torch.equal(digits.test("x", 5), to_float(test["x"][:5]))
    assert torch.equal(digits.test("y", 5), test["y"][:5])


def test_without_a_test_split_training_examples_are_used(ring):
    assert torch.equal(ring.test("x", 4), ring.contents.splits["train"]["x"][:4])


def test_the_fingerprint_depends_on_content_and_reference(build):
    prints = [build(Ring, **RING).fingerprint for _ in range(2)]
    assert prints[0] == prints[1]
    others = [
        build(Ring, **(RING | {"sigma": 0.02})).fingerprint,
        build(Ring, **RING, reference=["train", "test"]).fingerprint,
        build(Digits, size=28, channels=1).fingerprint,
        build(Digits, size=32, channels=1).fingerprint,
    ]
    assert len({prints[0], *others}) == 5


def test_images_are_plotted_as_a_grid_and_points_as_dots(digits, ring):
    assert digits.draw(digits.test("x", 10), columns=5).shape == (3, 62, 152)
    picture = ring.draw(ring.source.centers)
    assert picture.shape == (3, 400, 400)
    is_red = (picture[0] == 200) & (picture[1] == 30)
    assert is_red.sum() == 8 * 5  # eight crosses of five pixels
    rows, columns = is_red.nonzero().T
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):  # real points around every generated one
        assert (picture[:, row - 4 : row + 5, column - 4 : column + 5] == 175).all(dim=0).sum() > 20


def test_only_domains_of_digits_have_an_intensity(digits, build):
    assert digits.intensity is None
    domains = build(UnpairedDigits, gives=("a", "b", "picture"), size=28, channels=3, classes=0)
    assert domains.intensity(domains.test("a", 2), "a").shape == (2, 1, 28, 28)


def test_a_shape_that_the_data_do_not_have_is_refused(build):
    with pytest.raises(UserError, match=r"data=digits has x of shape \[1, 28, 28\]"):
        build(Digits, size=28, channels=1, shape=[3, 28, 28]).setup()


@pytest.mark.parametrize("batch_size", [0, -4, 2.5])
def test_a_wrong_batch_size_is_refused(build, batch_size):
    with pytest.raises(UserError, match=f"batch_size must be a positive integer, got {batch_size}"):
        build(Ring, **RING, batch_size=batch_size)


def test_the_constructor_reads_no_file(build, cache):
    build(Digits, size=28, channels=1)
    assert not cache.exists()
