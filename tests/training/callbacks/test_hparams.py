"""What TensorBoard's table of hyperparameters holds."""

from types import SimpleNamespace

import pytest
from helpers.run_context import bound
from omegaconf import OmegaConf
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from ganrun.training.callbacks.hparams import HParams, hyperparameters

CHOICES = {"model": "gan", "network": "mlp", "data": "ring", "optimizer": "adam", "schedule": "constant", "init": "x"}
CONFIG = {
    "seed": 3,
    "kimg": 10,
    "minutes": None,
    "batch_size": 8,
    "clip": None,
    "ema": {"half_life_kimg": None, "ramp_up": 0.05},
    "model": {"_target_": "GAN", "d_steps": 2, "generator": {"hidden": [4]}},
    "network": {"generator": {"_target_": "Generator", "hidden": [4], "shape": [2], "z_dim": 5}},
    "optimizer": {"_target_": "Adam", "_partial_": True, "lr": 0.1},
    "optimizers": {"generator": {"lr": 0.1}, "discriminator": {"lr": 0.4}},
}


def hparams(settings):
    """The callback of a run with these settings."""
    callback = HParams()
    callback.settings = settings
    callback._write_overview = lambda trainer: None  # of a whole run: tests/cli/commands/test_train.py
    return bound(callback, record=SimpleNamespace(best={"kimg": 1, "val/fd": 2.5, "val/is": 3}, monitor="val/fd"))


def test_the_settings_are_those_that_make_the_run_what_it_is():
    expected = {name: CHOICES[name] for name in ("model", "network", "data", "optimizer", "schedule")}
    expected |= {"seed": 3, "kimg": 10, "batch_size": 8, "model.d_steps": 2, "network.generator.hidden": "[4]"}
    expected |= {"optimizer.lr": 0.1, "discriminator.lr": 0.4}
    assert hyperparameters(OmegaConf.create(CONFIG), CHOICES) == expected


def test_an_average_is_a_setting_where_there_is_one():
    cfg = OmegaConf.create({**CONFIG, "ema": {"half_life_kimg": 10, "ramp_up": 0.05}})
    assert hyperparameters(cfg, CHOICES).items() >= {"ema.half_life_kimg": 10, "ema.ramp_up": 0.05}.items()


@pytest.mark.parametrize("fails", [False, True])
def test_the_outcome_is_noted_at_the_end_alone(tmp_path, fails):
    logger = TensorBoardLogger(tmp_path, name="", version="")
    trainer = SimpleNamespace(loggers=[logger], is_global_zero=True)
    table = hparams({"seed": 3})
    table.on_train_start(trainer, None)
    assert "_hparams_/session_end_info" not in read_plugin_content(logger, tmp_path)
    table.on_exception(trainer, None, ValueError()) if fails else table.on_fit_end(trainer, None)
    content = read_plugin_content(logger, tmp_path)
    end = content["_hparams_/session_end_info"].session_end_info
    assert end.status == (STATUS_FAILURE if fails else STATUS_SUCCESS)
    assert content["_hparams_/session_start_info"].session_start_info.hparams["seed"].number_value == 3


def test_a_resumed_run_has_its_new_settings_and_outcome(tmp_path):
    for kimg, ending in ((60, "on_exception"), (70, "on_fit_end")):
        logger = TensorBoardLogger(tmp_path, name="", version="")
        trainer = SimpleNamespace(loggers=[logger], is_global_zero=True)
        table = hparams({"kimg": kimg})
        table.on_train_start(trainer, None)
        getattr(table, ending)(trainer, None, *([ValueError()] if ending == "on_exception" else []))
        content = read_plugin_content(logger, tmp_path)
        assert content["_hparams_/session_start_info"].session_start_info.hparams["kimg"].number_value == kimg
    assert content["_hparams_/session_end_info"].session_end_info.status == STATUS_SUCCESS


def test_the_table_has_the_columns_of_all_runs(tmp_path):
    for name, score in (("a", "val/fd_lenet"), ("b", "val/modes")):
        logger = TensorBoardLogger(tmp_path / name, name="", version="")
        trainer = SimpleNamespace(loggers=[logger], is_global_zero=True)
        table = hparams({"data": name})
        table.on_train_start(trainer, None)
        logger.log_metrics({score: 1.0}, step=10)
        table.on_fit_end(trainer, None)
        logger.experiment.flush()
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(events, str(tmp_path)), logdir=str(tmp_path)))
    ctx = RequestContext()
    experiment = context.experiment_from_metadata(ctx, "", True, context.hparams_metadata(ctx, ""), [])
    assert {info.name.tag for info in experiment.metric_infos} == {"val/fd_lenet", "val/modes"}


def read_plugin_content(logger, folder):
    logger.experiment.flush()
    events = EventAccumulator(str(folder)).Reload()
    return {t: HParamsPluginData.FromString(m.plugin_data.content) for t, m in events.summary_metadata.items()}
