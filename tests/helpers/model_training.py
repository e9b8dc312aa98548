"""Experiments composed from conf/ as by the command, trained for a given number of batches."""

import pytorch_lightning as pl
from hydra import compose, initialize_config_dir

from ganrun.config.experiment import Experiment, build_experiment
from ganrun.files import conf_dir
from ganrun.training.callbacks.length import Length

PLAIN = [
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",  # on every CPU
    "channels_last=false",
    "logger=none",
    "metrics=none",
]

RING = [
    "model=gan",
    "data=ring",
    "data.points=600",
    "batch_size=16",
    "network.generator.hidden=[8]",
    "network.discriminator.hidden=[8]",
]
SMALL_DIGITS = ["data=digits", "batch_size=4"]
SMALL = {  # each model with small networks, on the shipped digits
    "gan": ["model=gan", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", *SMALL_DIGITS],
    "dcgan": ["model=dcgan", "network.width=4", *SMALL_DIGITS],
    "wgan": ["model=wgan", "network.width=4", *SMALL_DIGITS],
    "cgan": ["model=cgan", "network.width=4", *SMALL_DIGITS],
    "cyclegan": [
        "model=cyclegan",
        "data=unpaired_digits",
        "batch_size=2",
        "network=cyclegan_small",
        "network.width=4",
        "network.blocks=1",
        "model.pool=3",
    ],
}

PRESETS = {  # models that are configs of GAN alone
    "lsgan": ["model=lsgan", "network.width=4", *SMALL_DIGITS],
    "wgan_gp": ["model=wgan_gp", "network.width=4", *SMALL_DIGITS],
    "sngan": ["model=sngan", "network.width=4", *SMALL_DIGITS],
    "dragan": ["model=dragan", "network.width=4", *SMALL_DIGITS],
    "r3gan": ["model=r3gan", "network.width=8", *SMALL_DIGITS],
}

CONDITIONED = {  # on the class, otherwise than cgan
    "acgan": ["model=acgan", "network.width=4", *SMALL_DIGITS],
    "projection": ["model=projection", "network.width=4", *SMALL_DIGITS],
}
PUZZLING = {"deshufflegan": ["model=deshufflegan", "network.width=4", *SMALL_DIGITS]}
CODED = {  # with codes of examples
    "bigan": ["model=bigan", "network.width=4", "network.joint.features=8", "model.z_dim=5", *SMALL_DIGITS],
    "ali": ["model=ali", "network.width=4", "network.joint.features=8", "model.z_dim=5", *SMALL_DIGITS],
    "bigbigan": [
        "model=bigbigan",
        "network.width=4",
        "network.joint.features=8",
        "network.joint.hidden=[8]",
        "model.z_dim=5",
        *SMALL_DIGITS,
    ],
    "infogan": ["model=infogan", "network.width=4", "model.z_dim=15", *SMALL_DIGITS],
    "infogan_cr": ["model=infogan_cr", "network.width=4", "model.z_dim=15", *SMALL_DIGITS],
    "vaegan": ["model=vaegan", "network.width=4", "model.z_dim=5", *SMALL_DIGITS],
    "vae": ["model=vae", "network.width=4", "model.z_dim=5", *SMALL_DIGITS],
    "autoencoder": ["model=autoencoder", "network.width=4", "model.z_dim=5", *SMALL_DIGITS],
}
RECONSTRUCTING = {  # whose discriminators are autoencoders
    "began": ["model=began", "network.width=4", "model.stall_kimg=0.008", *SMALL_DIGITS],
    "ebgan": ["model=ebgan", "network.width=4", *SMALL_DIGITS],
}


def job_of(*overrides: str) -> Experiment:
    """Build the experiment of these overrides on the CPU, with model and data only."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        job = build_experiment(compose("train", [*PLAIN, *overrides]))
    job.data.prepare_data()
    return job


def train(job: Experiment, batches: int, *callbacks, ckpt_path=None) -> Experiment:
    """Train for this number of batches, with the trainer of the config, and return the experiment."""
    length = Length(kimg=batches * job.data.batch_size / 1000, minutes=None)
    trainer = job.build_trainer(callbacks=[length, *callbacks])
    trainer.fit(job.model, datamodule=job.data, ckpt_path=ckpt_path)
    return job


def ganrun_records(caplog):
    """Return the log records of ganrun's loggers."""
    return [record for record in caplog.records if record.name.startswith("ganrun")]


class SpoiltData(pl.Callback):
    """Writes NaN into these batches, counted from 1."""

    def __init__(self, *batches):
        self.batches = batches

    def on_train_batch_start(self, trainer, model, batches, batch_idx):
        if model.batches_seen + 1 in self.batches:
            (batch,) = batches
            for key in set(batch) - {"y"}:
                batch[key][0] = float("nan")


class Stop(pl.Callback):
    """Stops a training after this number of batches."""

    def __init__(self, after):
        self.after = after

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        trainer.should_stop = trainer.should_stop or model.batches_seen >= self.after
