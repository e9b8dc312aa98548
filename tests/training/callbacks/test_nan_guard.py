"""What a stopped training says of the way on."""

import json
import shlex
from types import SimpleNamespace

import pytest
import torch
from helpers.run_context import bound

from ganrun.models.base import Adversarial, Player
from ganrun.models.schedules import scale_learning_rates
from ganrun.training.callbacks.nan_guard import NanGuard, Turn, describe_other_terms, describe_turn
from ganrun.training.checkpoint_io import DurableIO

NAN, INF = float("nan"), float("inf")


class Pair(Adversarial):
    """A weight for each of two players."""

    def __init__(self, rates, schedule=None):
        optimizers = {
            name: lambda weights, rate=rate: torch.optim.SGD(weights, lr=rate) for name, rate in rates.items()
        }
        super().__init__(optimizers, schedule=schedule)
        self.nets = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1) for name in rates})
        self._optimizers = self.configure_optimizers()

    def players(self):
        return [Player(name, [net], None) for name, net in self.nets.items()]


@pytest.fixture
def way_on(tmp_path):
    def say(model, last=None, folder="run", **objects):
        (tmp_path / folder / "checkpoints").mkdir(parents=True)
        if last:
            (tmp_path / folder / "checkpoints" / "manifest.json").write_text(json.dumps({"last": last}))
        return bound(NanGuard(50), record=SimpleNamespace(folder=tmp_path / folder), **objects)._advise(model)

    return say


def test_before_the_first_save_it_says_how_to_start_again(way_on):
    message = way_on(Pair({"d": 4e-4, "g": 1e-3}))
    assert (
        message
        == "Nothing was saved yet. Start again with lower learning rates: optimizers.d.lr=0.0002 optimizers.g.lr=0.0005"
    )


def test_a_save_that_is_under_way_is_waited_for(way_on, tmp_path):
    manifest = tmp_path / "run" / "checkpoints" / "manifest.json"

    class Slow(DurableIO):
        def wait(self):
            manifest.write_text(json.dumps({"last": "kimg000001.000.ckpt"}))

    assert "kimg000001.000.ckpt. Continue from it" in way_on(Pair({"d": 4e-4}), checkpoint_io=Slow())


def test_the_last_good_checkpoint_is_named_with_the_command_that_continues_from_it(way_on, tmp_path):
    message = way_on(Pair({"d": 4e-4}), "kimg000010.000.ckpt")
    assert message == (
        f"The last good checkpoint is {tmp_path}/run/checkpoints/kimg000010.000.ckpt. "
        "Continue from it with lower learning rates: "
        f"ganrun resume {tmp_path}/run branch=true optimizers.d.lr=0.0002"
    )


def test_the_command_is_one_that_a_shell_takes(way_on, tmp_path):
    message = way_on(Pair({"d": 1.0}), "kimg000010.000.ckpt", "my run")
    args = shlex.split(message.split("rates: ")[1])
    assert args == ["ganrun", "resume", f"{tmp_path}/my run", "branch=true", "optimizers.d.lr=0.5"]


def test_the_rate_is_that_of_the_settings_before_the_schedule(way_on):
    model = Pair({"d": 1.0}, schedule=lambda progress: 0.01)
    scale_learning_rates(model._optimizers, model.schedule(model.progress))
    assert model._optimizers[0].param_groups[0]["lr"] == 0.01
    assert way_on(model).endswith("optimizers.d.lr=0.5")


@pytest.mark.parametrize(
    ("real", "fake", "text"),
    [
        ([1.0, NAN], [1.0], ", and so did real, but not fake"),
        ([1.0], [-INF], ", and so did fake, but not real"),
        ([INF], [NAN], ", and so did real and fake"),
        ([0.0], [0.0], ", but not real or fake"),
    ],
)
def test_finite_and_other_terms_are_named(real, fake, text):
    terms = {"loss": torch.tensor(NAN), "real": torch.tensor(real), "fake": torch.tensor(fake)}
    assert describe_other_terms(terms) == text


def test_a_loss_without_terms_is_named_alone():
    assert describe_other_terms({"loss": torch.tensor(NAN)}) == ""


@pytest.mark.parametrize(("images", "text"), [(12300, "12.3 kimg"), (64, "0.064 kimg"), (123456789, "123456.789 kimg")])
def test_the_place_is_exact(images, text):
    assert describe_turn(Turn("d", {}, images, 7)) == f"at {text} (batch 7)"
