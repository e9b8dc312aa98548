"""The LightningDataModule of all data sets: training batches, real examples for scores, test examples, plots."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import islice

import pytorch_lightning as pl
import torch
from torch import Tensor

from ganrun.data import images
from ganrun.data.batches import Batch, TrainingBatches, limit_arrays, place_on_device
from ganrun.data.cache import LoadedData
from ganrun.data.keys import (
    Key,
    check_arrays,
    check_keys,
    describe_keys,
    keys_of_names,
    names_by_order,
    names_given,
    with_index,
)
from ganrun.data.source import Source
from ganrun.errors import UserError
from ganrun.seeds import named_generator

CHUNK, ALL = 512, slice(None)


class DataModule(pl.LightningDataModule):
    """One data set. Its constructor reads no file.

    source:      builds the source from the settings that this class does not have (size, root, fit ...)
    shape:       of one example, that under the first key: (C, H, W) or (n,)
    classes:     number of classes; None: as many as the source finds
    reference:   splits that scores compare with
    device:      of the training arrays: auto, cpu or cuda
    batch_size:  over all ranks together
    seed:        of the order and the flips
    limit:       train on so many examples, a fixed random subset; None: on all.  Scores compare with all of them
    gives:       if the source has no keys: those of a batch and kind of example, such as (x, y, picture)
    """

    def __init__(
        self,
        source: Callable[..., Source],
        name: str,
        shape: list[int],
        batch_size: int,
        seed: int,
        classes: int | None,
        reference: list[str],
        flip: bool,
        device: str,
        gives: Sequence[str] | None = None,
        limit: int | None = None,
        **options,
    ):
        super().__init__()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise UserError(f"batch_size must be a positive integer, got {batch_size}.")
        self.source = source(**options)
        if flip and not self.source.may_flip:
            raise UserError(
                f"data={name} cannot be mirrored, as its examples say what is on which side. Set data.flip=false."
            )
        self.intensity = self.source.intensity
        self.name, self.shape, self.reference_splits = name, tuple(shape), tuple(reference)
        self.batch_size, self.seed, self.flip, self.device, self.limit = batch_size, seed, flip, device, limit
        self.start_batch, self.batches_per_step = 0, 1
        self.wanted: tuple[str, ...] = ()  # keys that batches hold besides those of the data: index
        self._gives, self._class_count = gives, classes

    @cached_property
    def keys(self) -> dict[str, Key]:
        """What a batch holds, the examples first; no labels if the images on disk have no classes."""
        keys, is_said = self.possible_keys, bool(self.source.keys)
        keys = {name: key for name, key in keys.items() if is_said or key.kind != "label" or self.count_classes()}
        check_keys(keys, str(self.name), self.shape)
        return keys

    @property
    def possible_keys(self) -> dict[str, Key]:
        """The keys of such data, with labels even if the images on disk have none. This reads no file."""
        return dict(self.source.keys) or keys_of_names(self._gives or (), self.shape)

    @property
    def offered(self) -> dict[str, Key]:
        """The keys, and those that any data set can give on demand."""
        return with_index(self.keys)

    @property
    def gives(self) -> tuple[str, ...]:
        """Names of the keys, and the kind of the examples as yamls name it: picture or point."""
        return names_given(self.keys)

    @property
    def kind(self) -> str:
        """The kind of the examples: of the first key."""
        return next(iter(self.possible_keys.values())).kind

    def count_classes(self) -> int:
        """Return the number of classes: from the config, or from names of folders and attributes."""
        return self.source.count_classes() if self._class_count is None else self._class_count

    def check_files(self) -> None:
        """Raise UserError if the user's files are missing. This reads and downloads nothing."""
        if self.source.root is not None:
            self.source.files()

    def prepare_data(self) -> None:
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        _ = self.contents

    @cached_property
    def contents(self) -> LoadedData:
        """The arrays, memory-mapped; prepared first if necessary."""
        self.source.prepare()
        contents = self.source.load()
        if not all(map(len, contents.splits["train"].values())):
            raise UserError(f"data={self.name} contains no training example.")
        described = {name: key for name, key in self.keys.items() if self.source.keys or key.kind != "label"}
        check_arrays(described, contents.splits["train"], str(self.name))  # y of `gives` may have any shape
        return contents

    @property
    def classes(self) -> list[str]:
        return self.contents.classes

    @property
    def train_count(self) -> int:
        """The number of examples that training sees."""
        count = min(len(array) for array in self.contents.splits["train"].values())
        return min(count, self.limit or count)

    @property
    def is_paired(self) -> bool:
        """Whether a[i] and b[i] of the test split are pairs."""
        return self.contents.is_paired

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the data that scores compare with."""
        return sha256("/".join([self.contents.fingerprint, *self.reference_splits]).encode()).hexdigest()[:32]

    @cached_property
    def batches(self) -> TrainingBatches:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        keys = {**self.keys, **{name: key for name, key in self.offered.items() if name in self.wanted}}
        arrays = {key: array for key, array in self.contents.splits["train"].items() if key in self.keys}
        arrays = place_on_device(limit_arrays(arrays, keys, self.limit), self.device, device)
        return TrainingBatches(arrays, keys, self.batch_size, self.seed, self.flip, device)

    def batch(self, k: int, rank: int = 0, world: int = 1) -> Batch:
        """Return the rank's slice of training batch number k: a pure function of (seed, k)."""
        return self.batches.batch(k, rank, world)

    def train_dataloader(self) -> "EndlessLoader":
        return EndlessLoader(self)

    def reference(self, key: str | None = None, limit: int | None = None) -> Iterator[Tensor]:
        """Yield the real examples that scores compare with, in chunks: uint8 [n <= 512, C, H, W], or points [n, d].

        key: None for the first.
        limit: a random subset of this size, always the same. Files are often sorted: the first ones would be biased.
        """
        arrays = self._reference_arrays(key)
        total = sum(map(len, arrays))
        chosen = torch.arange(total)
        if limit is not None and limit < total:
            chosen = torch.randperm(total, generator=named_generator("reference"))[:limit].sort().values
        start = 0
        for array in arrays:
            inside = chosen[(chosen >= start) & (chosen < start + len(array))] - start
            for index in inside.split(CHUNK):
                yield array.index_select(0, index)
            start += len(array)

    def reference_count(self, key: str | None = None) -> int:
        return sum(map(len, self._reference_arrays(key)))

    def _reference_arrays(self, key: str | None) -> list[Tensor]:
        key = next(iter(self.keys)) if key is None else key
        splits = [self.contents.splits.get(name, {}) for name in self.reference_splits]
        arrays = [split[key] for split in splits if key in split]
        if not arrays:
            raise UserError(f"data={self.name} has no {key} in data.reference={list(self.reference_splits)}.")
        return arrays

    def conditions(self, n: int, keys: Sequence[str], rows: slice = ALL) -> Batch:
        """Return what a model that takes these keys gets for n samples, as in a batch: {key: [n, ...]}.

        Labels alone have the training data's class proportions, also the first k of them for any k. Else they are those
        of n training examples, the same for all keys that move together.
        rows: which of the n; the others are not read.
        """
        offered, train, conditions = self.offered, self.contents.splits["train"], {}
        if missing := {key: None for key in keys if key not in offered}:
            raise UserError(f"data={self.name} has no {describe_keys(missing)}.")
        for leader, group in names_by_order(offered, keys).items():
            if [offered[key].kind for key in group] == ["label"]:
                conditions[group[0]] = proportional_labels(torch.bincount(train[group[0]]), n)[rows]
                continue
            order = torch.randperm(len(train[leader]), generator=named_generator("conditions", leader))
            index = order[torch.arange(n)[rows] % len(order)]
            conditions |= {key: offered[key].to_batch(train[key][index]) if key in train else index for key in group}
        return conditions

    def labels(self, n: int) -> Tensor:
        """Return labels, int64 [n], whose first k, for any k, have about the training data's class proportions."""
        names = [name for name, key in self.keys.items() if key.kind == "label"]
        if not names:
            raise UserError(f"data={self.name} has no labels.")
        return self.conditions(n, names[:1])[names[0]]

    @property
    def test_split(self) -> str:
        """The split that `test` reads: the training split if there is no test split."""
        return "test" if "test" in self.contents.splits else "train"

    def test(self, key: str, which: int | Tensor | None = None) -> Tensor:
        """Return examples of the test split as models see them: the first `which`, those at the indices, or all.

        What the split has besides the keys is returned as it is stored.
        """
        array = self.contents.splits[self.test_split][key]
        part = array[which] if isinstance(which, Tensor) else array[:which]
        example = self.keys[key].to_batch(part) if key in self.keys else part
        return part.clone() if example is part else example

    def test_count(self, key: str) -> int:
        return len(self.contents.splits[self.test_split][key])

    def draw(self, x: Tensor, columns: int = 8, key: str | None = None) -> Tensor:
        """Plot examples x of a key (None: the first): uint8 [3, H, W]. Points over the real ones, others as a grid."""
        its = self.keys[key or next(iter(self.keys))]
        if its.kind not in ("points", "vector"):
            return images.make_grid(its.to_picture(x), columns)
        real = torch.cat([*self.reference(key, limit=5000)])
        return images.plot_points(self.source.plane(x), self.source.plane(real))


class EndlessLoader:
    """The trainer's data loader: yields `data.batches_per_step` batches per step, made on demand, without end.

    The first one is batch number `data.start_batch`; each rank gets its slice.
    """

    def __init__(self, data: DataModule):
        self.data = data

    def __iter__(self) -> Iterator[Iterable[Batch]]:
        trainer = self.data.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        batches = self.data.batches.endless(self.data.start_batch, rank, world)
        count = self.data.batches_per_step
        while True:
            yield [next(batches)] if count == 1 else islice(batches, count)


def proportional_labels(counts: Tensor, n: int) -> Tensor:
    """Return labels 0..K-1, int64 [n], spread evenly: every prefix has the proportions of `counts`, int64 [K].

    The j-th of a class's c examples is at (j + 1/2) / c of the sequence.
    """
    label = torch.repeat_interleave(torch.arange(len(counts)), counts)
    rank = torch.cat([torch.arange(int(count)) for count in counts])
    spread = label[torch.argsort((rank + 0.5).double() / counts[label], stable=True)]
    return spread[torch.arange(n) % len(spread)]
