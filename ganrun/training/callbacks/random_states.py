"""The global random number generators across an interruption."""

import random
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, Trainer

from ganrun.seeds import hash_integers


class RandomStates(Callback):
    """Saves the states of Python's, NumPy's and torch's global generators in checkpoints, as plain types.

    ganrun's own random numbers are functions of (seed, rank, batch) and need none of them; those of a user's model or
    data may. With several ranks, the states of the first are saved.
    """

    def __init__(self, seed: int):
        """seed: of the generators in a new training."""
        self.seed = seed
        self.saved: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        kind, keys, *rest = np.random.get_state()
        version, words, gauss = random.getstate()
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return {
            "python": [version, list(words), gauss],
            "numpy": [kind, np.asarray(keys).tolist(), *rest],
            "torch": torch.get_rng_state(),
            "cuda": cuda,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.saved = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Seed or restore the generators: only now, as building and loading have used them."""
        if self.saved is None:
            random.seed(hash_integers(self.seed))
            np.random.seed(hash_integers(self.seed))
            return
        version, words, gauss = self.saved["python"]
        random.setstate((version, tuple(words), gauss))
        kind, keys, *rest = self.saved["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
        torch.set_rng_state(self.saved["torch"].cpu())
        for device, cuda in enumerate(self.saved["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda.cpu(), device)
