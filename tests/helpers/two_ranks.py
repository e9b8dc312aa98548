"""Trainings on given batches, by one process or by two; as a program: by two, writing what each rank ends with."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytorch_lightning as pl
import torch
from helpers.model_training import job_of
from helpers.run_context import bound

from ganrun.errors import Failure
from ganrun.training.callbacks.evaluation import share_norm_statistics
from ganrun.training.callbacks.length import Length
from ganrun.training.callbacks.nan_guard import NanGuard
from ganrun.training.session import silence_libraries

EXAMPLES, BATCHES = 8, 6
EMA = ["ema.half_life_kimg=0.02", "ema.ramp_up=0.5"]
EXACT = [f"batch_size={EXAMPLES}", "trainer.precision=64-true", "optimizer=sgd", "optimizer.fused=false", *EMA]
RING = ["data=ring", "data.points=100", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]"]
TRANSLATION = ["data=unpaired_digits", "network=cyclegan_small", "network.width=2", "network.blocks=1", "model.pool=0"]
CASES = {
    "gan": ["model=gan", *RING, "optimizer.lr=0.1"],
    "gan, clipped": ["model=gan", *RING, "optimizer.lr=0.1", "clip=0.01"],
    "wgan": ["model=wgan", *RING, "optimizer.lr=0.1", "model.n_critic=2", "model.c=0.5"],
    "cyclegan": ["model=cyclegan", *TRANSLATION, "optimizer.lr=0.01"],
}


class Supplied(pl.LightningDataModule):
    """Random batches with the noise in them; each rank has its slice of the joint batch.

    spoilt: the number of a batch whose last example, the second rank's, is NaN.
    """

    def __init__(self, shapes, spoilt=None):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.batches = [
            {key: torch.rand(EXAMPLES, *shape, generator=generator) * 2 - 1 for key, shape in shapes.items()}
            for _ in range(BATCHES)
        ]
        if spoilt is not None:
            self.batches[spoilt]["x"][-1] = float("nan")

    def train_dataloader(self):
        return self

    def __iter__(self):
        share = EXAMPLES // self.trainer.world_size
        mine = slice(self.trainer.global_rank * share, (self.trainer.global_rank + 1) * share)
        return ([{key: part[mine] for key, part in batch.items()}] for batch in self.batches)


def weights_of(name, devices):
    """The state of a model that was trained on the supplied batches."""
    job = job_of(*CASES[name], *EXACT, f"trainer.devices={devices}")
    model = job.model
    if name == "cyclegan":
        fit(job, Supplied({"a": job.data.shape, "b": job.data.shape}))
    else:
        fit_with_noise(job)
    return {key: value for key, value in model.state_dict().items() if torch.is_tensor(value)}


def fit_with_noise(job, spoilt=None, *callbacks):
    """Trains a GAN on batches that hold its noise."""
    job.model.fake_like = lambda batch: job.model.generator(batch["z"])
    fit(job, Supplied({"x": job.data.shape, "z": (job.model.z_dim,)}, spoilt), *callbacks)


def skipping(devices):
    """The state of a model and the turns that were skipped, in a training with one example that is NaN."""
    job = job_of(*CASES["gan"], *EXACT, f"trainer.devices={devices}")
    guard = bound(NanGuard(2, mode="skip"), record=SimpleNamespace(folder=Path("nowhere")))
    fit_with_noise(job, 2, guard)
    return dict(job.model.state_dict()), guard.skipping.counts


def stopping(devices):
    """What a training says whose last batch holds an example that is NaN."""
    job = job_of(*CASES["gan"], *EXACT, f"trainer.devices={devices}")
    try:
        fit_with_noise(job, BATCHES - 1, bound(NanGuard(BATCHES), record=SimpleNamespace(folder=Path("nowhere"))))
    except Failure as failure:
        return str(failure)


def statistics_of(devices):
    """BatchNorm's statistics of a generator as a rank has them after training, and as it scores with them."""
    job = job_of("model=dcgan", "data=digits", "network.width=4", "batch_size=8", f"trainer.devices={devices}")
    fit(job, job.data)
    own = {key: value.clone() for key, value in job.model.generator.named_buffers()}
    share_norm_statistics(job.model, job.model.trainer)
    return own, dict(job.model.generator.named_buffers())


def noise_of(devices):
    """The latents that a rank draws in a training on the real data, in order."""
    job = job_of("model=gan", *RING, f"batch_size={EXAMPLES}", f"trainer.devices={devices}", "seed=5")
    drawn, noise = [], job.model.noise
    job.model.noise = lambda n: drawn.append(noise(n)) or drawn[-1]
    fit(job, job.data)
    return drawn


def fit(job, data, *callbacks):
    length = Length(kimg=EXAMPLES * BATCHES / 1000, minutes=None)
    job.build_trainer(callbacks=[length, *callbacks]).fit(job.model, datamodule=data)


def main(folder):
    torch.set_num_threads(1)
    silence_libraries()
    found = {name: weights_of(name, devices=2) for name in CASES}
    found["noise"] = noise_of(devices=2)
    found["statistics"] = statistics_of(devices=2)
    found["skipping"] = skipping(devices=2)
    found["stopping"] = stopping(devices=2)
    torch.save(found, folder / f"rank{torch.distributed.get_rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
