"""TensorBoard's table of hyperparameters: settings, scores and outcome of each run."""

# protobuf creates its classes at import:
# pyright: reportAttributeAccessIssue=false

import io
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

from omegaconf import DictConfig, ListConfig
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams

from ganrun.config import schema
from ganrun.config.docs import NETWORK_PARTS
from ganrun.config.resume_rules import flatten_config
from ganrun.files import replacing
from ganrun.training.callbacks.base import RunCallback, RunContext

EVENT_FILE = "events.out.tfevents.0000000000.hparams"  # sorts first: TensorBoard reads files in this order, and once

CHARTS = {  # of the tab "custom scalars": the curves of a chart, as regular expressions
    "players": {
        "losses": ["Multiline", ["train/.*/loss"]],
        "D(x) and D(G(z))": ["Multiline", ["train/.*/probability_(real|fake)"]],
        "scores of D": ["Multiline", ["train/.*/(real|fake)(_[ab])?$"]],
        "share of pairs that D tells apart": ["Multiline", ["train/.*/accuracy"]],
    },
}


class HParams(RunCallback):
    """Logs a run's settings at the start, and at the end whether it succeeded and the score of its best checkpoint.

    That is a column of TensorBoard's table beside the settings: as a curve, it would be a card with a single dot.

    TensorBoard uses the first of several such entries of a run, so they have their own file, which a resumed training
    replaces. The columns of the table are not declared: TensorBoard would use those of one run for all.
    """

    def bind(self, run: RunContext) -> None:
        super().bind(run)
        self.settings = hyperparameters(run.cfg, run.choices)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(self.settings)
        self._write(trainer)
        self._write_overview(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:  # after the last scores
        record = self.run.record
        scores = {f"best/{name.removeprefix('val/')}": value for name, value in record.best.items() if name != "kimg"}
        for logger in trainer.loggers if trainer.is_global_zero and scores else ():
            if not isinstance(logger, TensorBoardLogger):
                logger.log_metrics(scores, step=pl_module.images_seen)
        if record.best:  # the table shows five columns at first, so it has one score of these
            self.settings |= {f"best/{str(record.monitor).removeprefix('val/')}": record.best[record.monitor]}
        self._write(trainer, session_end(api_pb2.STATUS_SUCCESS))

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self._write(trainer, session_end(api_pb2.STATUS_FAILURE))

    def _write_overview(self, trainer: Trainer) -> None:
        """Write the run's settings as a text into TensorBoard, and which curves belong into one chart."""
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, TensorBoardLogger):
                text = (self.run.record.folder / "config.yaml").read_text(encoding="utf-8")
                logger.experiment.add_text("config", indent(text, "    "), self.run.experiment.model.images_seen)
                logger.experiment.add_custom_scalars(CHARTS)

    def _write(self, trainer: Trainer, *outcome: Summary) -> None:
        _, session, _ = hparams(self.settings, {})
        content = io.BytesIO()
        records = RecordWriter(content)
        for event in (Event(file_version="brain.Event:2"), *(Event(summary=each) for each in (session, *outcome))):
            records.write(event.SerializeToString())
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, TensorBoardLogger):
                folder = Path(logger.log_dir)
                folder.mkdir(parents=True, exist_ok=True)
                with replacing(folder / EVENT_FILE) as partial:
                    partial.write_bytes(content.getvalue())


def session_end(status: int) -> Summary:
    """Return TensorBoard's entry for the end of a run."""
    end = plugin_data_pb2.SessionEndInfo(status=status)
    info = plugin_data_pb2.HParamsPluginData(session_end_info=end, version=metadata.PLUGIN_DATA_VERSION)
    data = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=info.SerializeToString())
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=SummaryMetadata(plugin_data=data))
    return Summary(value=[value])


def hyperparameters(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """Return the choices and settings that are `in_hparams` in config/schema.py: few enough for a readable table."""
    settings = {**choices, **flatten_config(cfg)}
    shown = {key: v for key, v in settings.items() if key in NETWORK_PARTS or schema.find_setting(key).in_hparams}
    if not cfg.ema.half_life_kimg:
        shown.pop("ema.ramp_up", None)
    for player, special in cfg.optimizers.items():
        shown |= {f"{player}.{name}": v for name, v in special.items() if v != cfg.optimizer.get(name)}
    shown = {key: value for key, value in shown.items() if value is not None and "._" not in key}
    return {key: str(value) if isinstance(value, list | ListConfig) else value for key, value in shown.items()}
