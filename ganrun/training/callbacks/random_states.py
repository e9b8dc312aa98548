"""The global random streams, over an interruption."""

import random

import numpy as np
import torch
from pytorch_lightning import Callback

from ganrun.seeds import hash_integers


class RandomStates(Callback):
    """Keeps the states of python's, numpy's and torch's global generators in the checkpoint, as plain types.

    ganrun's own draws are functions of (seed, rank, batch) and need none of them; a user's model or data may.
    Of several ranks, the states of the first are kept.
    """

    def __init__(self, seed: int):
        """seed: of the streams in a training that begins."""
        self.seed = seed
        self.found: dict | None = None

    def state_dict(self) -> dict:
        kind, keys, *rest = np.random.get_state()
        version, words, gauss = random.getstate()
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return {
            "python": [version, list(words), gauss],
            "numpy": [kind, keys.tolist(), *rest],
            "torch": torch.get_rng_state(),
            "cuda": cuda,
        }

    def load_state_dict(self, state: dict) -> None:
        self.found = state

    def on_train_start(self, trainer, model):
        """The streams go on where they were: by now, building and loading have drawn what they draw."""
        if self.found is None:
            random.seed(hash_integers(self.seed))
            np.random.seed(hash_integers(self.seed))
            return
        version, words, gauss = self.found["python"]
        random.setstate((version, tuple(words), gauss))
        kind, keys, *rest = self.found["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
        torch.set_rng_state(self.found["torch"].cpu())
        for device, cuda in enumerate(self.found["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda.cpu(), device)
