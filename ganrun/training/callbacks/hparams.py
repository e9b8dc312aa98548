"""TensorBoard's table of hyperparameters: settings, scores and outcome of each run."""

import io
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams

from ganrun.paths import replace_file

EVENT_FILE = (
    "events.out.tfevents.0000000000.hparams"  # before all others, which TensorBoard reads in this order, and once
)
CHOICES = ("model", "network", "data", "optimizer", "schedule")
DERIVED = ("shape", "z_dim", "classes")  # of a network: they follow from data and model


class HParams(Callback):
    """Notes a run's settings at the start, and at the end whether it was a success.

    TensorBoard takes the first of several such notes of a run for true, so they have a file of their own, which a
    training that goes on begins anew. The columns of its table are not named: TensorBoard would take one run's for all.
    Each score has two, val/x, the last, and best/x, that of the best checkpoint (callbacks/evaluation.py).
    """

    def __init__(self, settings: Mapping):
        self.settings = settings

    def on_train_start(self, trainer, model):
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(dict(self.settings))
        self._write(trainer)

    def on_train_end(self, trainer, model):
        self._write(trainer, session_end(api_pb2.STATUS_SUCCESS))

    def on_exception(self, trainer, model, exception):
        self._write(trainer, session_end(api_pb2.STATUS_FAILURE))

    def _write(self, trainer, *outcome: Summary) -> None:
        _, session, _ = hparams(dict(self.settings), {})
        content = io.BytesIO()
        records = RecordWriter(content)
        for event in (Event(file_version="brain.Event:2"), *(Event(summary=told) for told in (session, *outcome))):
            records.write(event.SerializeToString())
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, TensorBoardLogger):
                Path(logger.log_dir).mkdir(parents=True, exist_ok=True)
                replace_file(Path(logger.log_dir) / EVENT_FILE, content.getvalue())


def best_tag(score: str) -> str:
    """ "val/fid" -> "best/fid": the column of that score at the best checkpoint."""
    return f"best/{score.removeprefix('val/')}"


def session_end(status: int) -> Summary:
    end = plugin_data_pb2.SessionEndInfo(status=status)
    info = plugin_data_pb2.HParamsPluginData(session_end_info=end, version=metadata.PLUGIN_DATA_VERSION)
    data = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=info.SerializeToString())
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=SummaryMetadata(plugin_data=data))
    return Summary(value=[value])


def hyperparameters(cfg: DictConfig, taken: Mapping[str, str]) -> dict:
    """What makes a run what it is: its choices in the groups, and those of its settings that have a value of their own.

    Few: the table sorts them by the alphabet and shows the first ones.
    """
    settings = OmegaConf.to_container(cfg, resolve=True)
    found = {group: taken[group] for group in CHOICES}
    found |= {name: settings[name] for name in ("seed", "kimg", "minutes", "batch_size", "clip")}
    found |= flat(settings["ema"], "ema.") if cfg.ema.half_life_kimg else {}
    found |= {f"model.{name}": value for name, value in settings["model"].items() if not isinstance(value, Mapping)}
    found |= {name: v for name, v in flat(settings["network"], "network.").items() if not name.endswith(DERIVED)}
    found |= flat(settings["optimizer"], "optimizer.")
    for player, own in settings["optimizers"].items():
        found |= {f"{player}.{name}": v for name, v in own.items() if v != settings["optimizer"].get(name)}
    return {name: v for name, v in found.items() if v is not None and "._" not in name}


def flat(tree: Mapping, prefix: str = "") -> dict:
    """{"a": {"b": 1}} -> {"a.b": 1}; lists become text."""
    leaves = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = str(value) if isinstance(value, list) else value
    return leaves
