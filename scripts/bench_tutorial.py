"""Lightning's GAN tutorial as a training loop to compare ganrun's step with."""

import io
import threading
from contextlib import redirect_stdout

import pytorch_lightning as pl
import torch
from bench_peers import Peer, build_loader
from pytorch_lightning.callbacks import TQDMProgressBar
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ganrun.config.experiment import Experiment


class TutorialModule(pl.LightningModule):
    """The GAN of Lightning's tutorial: toggled optimizers, each loss logged and shown for every batch."""

    def __init__(self, nets: nn.Module, settings: dict):
        super().__init__()
        self.nets, self.settings, self.automatic_optimization = nets, settings, False

    def training_step(self, batch, batch_idx):
        (x,) = batch
        optimizer_g, optimizer_d = self.optimizers()
        generator, discriminator = self.nets.generator, self.nets.discriminator

        self.toggle_optimizer(optimizer_g)
        score = discriminator(generator(self.nets.noise(len(x))))
        loss = binary_cross_entropy_with_logits(score, torch.ones(len(x)).type_as(x))
        self.log("g_loss", loss, prog_bar=True)
        self.manual_backward(loss)
        optimizer_g.step()
        optimizer_g.zero_grad()
        self.untoggle_optimizer(optimizer_g)

        self.toggle_optimizer(optimizer_d)
        real = binary_cross_entropy_with_logits(discriminator(x), torch.ones(len(x)).type_as(x))
        score = discriminator(generator(self.nets.noise(len(x))).detach())
        fake = binary_cross_entropy_with_logits(score, torch.zeros(len(x)).type_as(x))
        loss = (real + fake) / 2
        self.log("d_loss", loss, prog_bar=True)
        self.manual_backward(loss)
        optimizer_d.step()
        optimizer_d.zero_grad()
        self.untoggle_optimizer(optimizer_d)

    def configure_optimizers(self):
        players = (self.nets.generator, self.nets.discriminator)
        return [torch.optim.Adam(net.parameters(), **self.settings) for net in players]


class Tutorial(Peer, pl.Callback):
    """Lightning's tutorial with its progress bar, logger and DataLoader, in a thread that runs on request only."""

    label = "Lightning's tutorial module"

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.requested, self.done, self.remaining = threading.Semaphore(0), threading.Semaphore(0), 0
        self.is_over = False
        threading.Thread(target=self._fit, daemon=True).start()
        self.done.acquire()

    def run(self, batches: int) -> None:
        self.remaining = batches
        self.requested.release()
        self.done.acquire()

    def close(self) -> None:
        self.is_over = True
        self.run(0)

    def on_train_start(self, trainer, module):
        self._wait()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.remaining -= 1
        if not self.remaining:
            self._wait()
        trainer.should_stop = self.is_over

    def _wait(self) -> None:
        self.done.release()
        self.requested.acquire()

    def _fit(self) -> None:
        torch.set_num_threads(1)  # a new thread would use all CPUs
        logger = pl.loggers.TensorBoardLogger(self.job.cfg.folder, name="tutorial")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=-1,
            logger=logger,
            callbacks=[self, HiddenProgressBar()],
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(TutorialModule(self.nets, self.settings()), build_loader(self.examples(), self.size))
        self.done.release()


class HiddenProgressBar(TQDMProgressBar):
    """Lightning's progress bar without its output."""

    def init_train_tqdm(self):
        with redirect_stdout(io.StringIO()):
            return super().init_train_tqdm()
