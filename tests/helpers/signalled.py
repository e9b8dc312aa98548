"""A training that gets signals."""

import signal
from types import SimpleNamespace

import pytest
import torch

from ganrun.errors import Interrupted
from ganrun.training.callbacks.signals import Signals

EXPECTED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class World:
    """A training in steps whose saves are noted."""

    def __init__(self, world_size=1, rank=0, every=1):
        self.saved = []
        self.signals = Signals(every)
        self.signals.save = lambda trainer, model: self.saved.append(model.batches_seen)
        self.trainer = SimpleNamespace(
            world_size=world_size, is_global_zero=not rank, strategy=SimpleNamespace(launcher=None)
        )
        self.model = SimpleNamespace(batches_seen=0, device=torch.device("cpu"))

    def start(self):
        self.signals.on_train_start(self.trainer, self.model)

    def batch(self, *signums):
        self.model.batches_seen += 1
        for signum in signums:
            signal.raise_signal(signum)
        self.signals.on_train_batch_end(self.trainer, self.model, None, None, 0)

    def end(self):
        self.signals.on_train_end(self.trainer, self.model)

    def train(self, *steps):
        """Each step in turn: a signal that comes within a batch, or something to call."""
        with self.signals.caught():
            self.start()
            for step in steps:
                step() if callable(step) else self.batch(step)

    def interrupted(self, *steps):
        """What ends it."""
        with pytest.raises(Interrupted) as caught:
            self.train(*steps)
        return caught.value
