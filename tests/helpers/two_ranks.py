"""Trainings on given batches in one process or two. As a program: in two, writing the results of each rank."""

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
    """Random batches that contain the noise; each rank gets its slice of the joint batch.

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
    """Train on the supplied batches and return the model's state."""
    job = job_of(*CASES[name], *EXACT, f"trainer.devices={devices}")
    model = job.model
    if name == "cyclegan":
        fit(job, Supplied({"a": job.data.shape, "b": job.data.shape}))
    else:
        fit_with_noise(job)
    return {key: value for key, value in model.state_dict().items() if torch.is_tensor(value)}


def fit_with_noise(job, spoilt=None, *callbacks):
    """Train a GAN on batches that contain its noise."""
    job.model.fake_like = lambda batch: job.model.generator(batch["z"])
    fit(job, Supplied({"x": job.data.shape, "z": (job.model.z_dim,)}, spoilt), *callbacks)


def skipping(devices):
    """Train with one NaN example; return the model's state and the counts of skipped steps."""
    job = job_of(*CASES["gan"], *EXACT, f"trainer.devices={devices}")
    guard = bound(NanGuard(2, mode="skip"), record=SimpleNamespace(folder=Path("nowhere")))
    fit_with_noise(job, 2, guard)
    return dict(job.model.state_dict()), guard.skipping.counts


def stopping(devices):
    """Return the message of a training whose last batch has a NaN example."""
    job = job_of(*CASES["gan"], *EXACT, f"trainer.devices={devices}")
    try:
        fit_with_noise(job, BATCHES - 1, bound(NanGuard(BATCHES), record=SimpleNamespace(folder=Path("nowhere"))))
    except Failure as failure:
        return str(failure)


def accumulated(devices):
    """Return the weights of a training whose batches are those of CASES["gan"], each in two parts."""
    parts = [f"batch_size={EXAMPLES // 2}", "accumulate=2"]
    job = job_of(*CASES["gan"], *EXACT, *parts, f"trainer.devices={devices}")
    fit_with_noise(job)
    return dict(job.model.state_dict())


def statistics_of(devices):
    """Return the BatchNorm statistics of a rank's generator after training, and those that it scores with."""
    job = job_of("model=dcgan", "data=digits", "network.width=4", "batch_size=8", f"trainer.devices={devices}")
    fit(job, job.data)
    statistics = {key: value.clone() for key, value in job.model.generator.named_buffers()}
    share_norm_statistics(job.model, job.model.trainer)
    return statistics, dict(job.model.generator.named_buffers())


def noise_of(devices):
    """Return the latents that a rank samples in a training on real data, in order."""
    job = job_of("model=gan", *RING, f"batch_size={EXAMPLES}", f"trainer.devices={devices}", "seed=5")
    latents, noise = [], job.model.noise
    job.model.noise = lambda n: latents.append(noise(n)) or latents[-1]
    fit(job, job.data)
    return latents


def fit(job, data, *callbacks):
    length = Length(kimg=EXAMPLES * BATCHES / 1000, minutes=None)
    job.build_trainer(callbacks=[length, *callbacks]).fit(job.model, datamodule=data)


def main(folder):
    torch.set_num_threads(1)
    silence_libraries()
    results = {name: weights_of(name, devices=2) for name in CASES}
    results["noise"] = noise_of(devices=2)
    results["statistics"] = statistics_of(devices=2)
    results["accumulated"] = accumulated(devices=2)
    results["skipping"] = skipping(devices=2)
    results["stopping"] = stopping(devices=2)
    torch.save(results, folder / f"rank{torch.distributed.get_rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
