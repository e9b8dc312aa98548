"""What has been renamed since version 0.1, so that older configs, checkpoints and user code keep working.

Names are dotted paths below the package `ganrun`.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganrun.paths import conf_dir

MODULES = {  # old module: new module
    "arguments": "cli.arguments",
    "build": "config.build",
    "callbacks.cadence": "training.callbacks.cadence",
    "callbacks.checkpointing": "training.callbacks.checkpointing",
    "callbacks.compiling": "training.callbacks.compilation",
    "callbacks.curves": "training.callbacks.loss_curves",
    "callbacks.evaluation": "training.callbacks.evaluation",
    "callbacks.guard": "training.callbacks.nan_guard",
    "callbacks.hparams": "training.callbacks.hparams",
    "callbacks.length": "training.callbacks.length",
    "callbacks.profiling": "training.callbacks.profiling",
    "callbacks.progress": "training.callbacks.progress",
    "callbacks.pruning": "sweep.pruning",
    "callbacks.random_states": "training.callbacks.random_states",
    "callbacks.samples": "training.callbacks.samples",
    "callbacks.signals": "training.callbacks.signals",
    "callbacks.together": "training.callbacks.callback_list",
    "changes": "config.resume_rules",
    "checkpoint": "training.checkpoint",
    "checkpoint_io": "training.checkpoint_io",
    "checks": "config.compatibility",
    "cli": "cli.main",
    "commands.compare": "cli.commands.compare",
    "commands.eval": "cli.commands.eval",
    "commands.plan": "cli.commands.dry_run",
    "commands.protocol": "cli.commands.eval_protocol",
    "commands.resume": "cli.commands.resume",
    "commands.sample": "cli.commands.sample",
    "commands.score_table": "cli.commands.eval_table",
    "commands.summary": "training.summary",
    "commands.sweep": "cli.commands.sweep",
    "commands.train": "cli.commands.train",
    "commands.trained": "training.inference",
    "commands.translate": "cli.commands.translate",
    "completion": "cli.completion",
    "conf_text": "config.docs",
    "data.ahead": "data.prefetch",
    "data.arrays": "data.cache",
    "data.decoding": "data.decode_all",
    "data.order": "data.shuffle",
    "durations": "terminal",
    "failures": "training.out_of_memory",
    "folders": "paths",
    "hydra_errors": "cli.hydra_errors",
    "job": "config.experiment",
    "jobs": "cli.hydra_app",
    "limits": "config.schema",
    "lock": "training.lock",
    "losses": "models.losses",
    "metrics.copies": "metrics.scores.copies",
    "metrics.drawing": "metrics.sampling",
    "metrics.extractors": "metrics.extractors.base",
    "metrics.frechet": "metrics.scores.frechet",
    "metrics.inception": "metrics.extractors.inception",
    "metrics.inception_score": "metrics.scores.inception_score",
    "metrics.infinity": "metrics.scores.fid_infinity",
    "metrics.intra": "metrics.scores.intra_fid",
    "metrics.kid": "metrics.scores.kid",
    "metrics.lenet": "metrics.extractors.lenet",
    "metrics.neighbours": "metrics.scores.nearest",
    "metrics.prdc": "metrics.scores.prdc",
    "metrics.reading": "metrics.scores.declarations",
    "metrics.resize": "metrics.extractors.resize",
    "metrics.scores": "metrics.feature_scores",
    "metrics.statistics": "metrics.reference_stats",
    "metrics.weights": "metrics.extractors.weights",
    "models.average": "models.ema",
    "networks.modes": "networks.eval_mode",
    "pictures": "data.images",
    "record": "training.run_folder",
    "schedules": "models.schedules",
    "sweep.board": "sweep.report.ranking",
    "sweep.checks": "sweep.validate",
    "sweep.conditions": "sweep.search.conditions",
    "sweep.folders": "sweep.hydra_context",
    "sweep.launched": "sweep.executors.hydra_launcher",
    "sweep.pool": "sweep.executors.local",
    "sweep.proposals": "sweep.search.study",
    "sweep.report": "sweep.report.html",
    "sweep.results": "sweep.report.results",
    "sweep.samplers": "sweep.search.samplers",
    "sweep.screen": "sweep.report.live_table",
    "sweep.showing": "sweep.report.leaderboard",
    "sweep.slurm": "sweep.executors.slurm",
    "sweep.space": "sweep.search.space",
    "sweep.start": "sweep.sweeper",
    "trust": "config.trust",
    "turns.graphs": "models.steps.cuda_graph",
    "turns.recording": "models.steps.captured_step",
    "turns.replays": "models.steps.graph_replay",
    "turns.skipping": "models.steps.skip_nonfinite",
    "turns.snapshot": "models.steps.snapshot",
    "usage": "cli.help",
    "verdict": "training.diagnosis",
}
SYMBOLS = {  # class or function that was renamed, or that has left its module; both sides with their modules
    "build.adversarial": "config.build.build_model",
    "build.data_module": "config.build.build_data",
    "build.made": "config.build.instantiate_optional",
    "job.Job": "config.experiment.Experiment",
    "job.make_job": "config.experiment.build_experiment",
    "arguments.SAFE": "config.overrides.UNQUOTED",
    "arguments.SETTING": "config.overrides.OVERRIDE",
    "arguments.config_flags": "config.overrides.config_dir_flags",
    "arguments.expand_home": "config.overrides.expand_home",
    "arguments.is_setting": "config.overrides.is_override",
    "arguments.keys": "config.overrides.override_keys",
    "arguments.plainly": "config.overrides.quote_override",
    "arguments.quoted": "config.overrides.quote_value",
    "arguments.read_again": "config.overrides.repeatable_overrides",
    "arguments.search_paths": "config.overrides.search_path_overrides",
    "arguments.with_default_experiment": "config.overrides.with_default_experiment",
    "commands.train.check_logger": "training.session.check_logger",
    "commands.train.choices_taken": "training.session.config_choices",
    "commands.train.fit": "training.session.fit_model",
    "commands.train.held": "training.session.run_lock",
    "commands.train.is_first": "training.session.is_main_process",
    "commands.train.logger_of": "training.session.build_logger",
    "commands.train.prepare": "training.session.prepare_experiment",
    "commands.train.quiet_libraries": "training.session.silence_libraries",
    "commands.train.start": "training.session.run_training",
    "data.decoding.progress": "terminal.progress_bar",
    "data.arrays.Contents": "data.cache.LoadedData",
    "data.arrays.Store": "data.cache.CacheWriter",
    "data.arrays.build": "data.cache.write_cache",
    "data.arrays.place": "data.cache.cache_folder",
    "data.arrays.read": "data.cache.open_cache",
    "data.decode.BadPictureError": "data.decode.BadImageError",
    "data.decode.as_array": "data.decode.to_array",
    "data.decode.check_form": "data.decode.check_image_format",
    "data.decode.fitted": "data.decode.fit_to_square",
    "data.decode.form": "data.decode.resize_images",
    "data.decode.in_mode": "data.decode.convert_mode",
    "data.decode.pictures_in": "data.decode.find_images",
    "data.digits.shipped": "data.digits.load_shipped_digits",
    "data.folder.found_pictures": "data.folder.require_images",
    "data.order.Order": "data.shuffle.EndlessShuffle",
    "data.order.seeded": "seeds.named_generator",
    "durations.clock": "terminal.format_duration",
    "losses.full": "models.losses.at_least_float32",
    "losses.of_generator": "models.losses.generator_loss",
    "models.average.Average": "models.ema.ExponentialMovingAverage",
    "networks.init.normal": "networks.init.normal_",
    "networks.init.orthogonal": "networks.init.orthogonal_",
    "networks.init.xavier": "networks.init.xavier_",
    "networks.modes.evaluating": "networks.eval_mode.eval_mode",
    "networks.modes.jointly": "networks.eval_mode.forward_batches",
    "pictures.grid": "data.images.make_grid",
    "pictures.scatter": "data.images.plot_points",
    "seeds.mix": "seeds.hash_integers",
    "metrics.drawing.Finite": "metrics.sampling.AllFinite",
    "metrics.drawing.apart": "metrics.sampling.isolated_rng",
    "metrics.drawing.counting_device": "metrics.sampling.float64_device",
    "metrics.drawing.generated": "metrics.sampling.generate_batches",
    "metrics.drawing.or_nan": "metrics.sampling.nan_unless_finite",
    "metrics.drawing.place": "metrics.sampling.rank_and_world",
    "metrics.drawing.seed_of_scores": "metrics.sampling.scoring_seed",
    "metrics.frechet.Features": "metrics.scores.frechet.IdentityFeatures",
    "metrics.inception_score.never_zero": "metrics.scores.inception_score.clamp_logits",
    "metrics.neighbours.copied": "metrics.scores.nearest.copy_shares",
    "metrics.neighbours.nearest": "metrics.scores.nearest.nearest_neighbours",
    "metrics.prdc.radii": "metrics.scores.prdc.knn_radii",
    "metrics.reading.better": "metrics.scores.declarations.better_direction",
    "metrics.scores.Kept": "metrics.feature_scores.FeatureBuffer",
    "metrics.statistics.Statistics": "metrics.score_inputs.Statistics",
    "metrics.statistics.measure": "metrics.reference_stats.measure_statistics",
    "sweep.pool.Jobs": "sweep.executors.base.Executor",
    "sweep.pool.PATIENCE": "sweep.executors.base.GRACE_SECONDS",
    "sweep.pool.RANKS": "sweep.executors.base.RANK_VARIABLES",
    "sweep.pool.Task": "sweep.executors.base.ExecutorJob",
    "sweep.pool.end_with_parent": "sweep.executors.base.terminate_with_parent",
    "sweep.folders.LONGEST_NAME": "sweep.naming.MAX_NAME_LENGTH",
    "sweep.folders.fixed_keys": "sweep.naming.fixed_keys",
    "sweep.folders.job_name": "sweep.naming.format_job_name",
    "sweep.folders.plain": "sweep.naming.slug",
    "sweep.folders.short_names": "sweep.naming.short_keys",
    "sweep.folders.shortened": "sweep.naming.format_value",
    "sweep.folders.swept": "sweep.naming.swept_values",
    "callbacks.progress.handlers_of_terminal": "terminal.terminal_log_handlers",
    "commands.trained.with_bar": "terminal.progress_bar",
    "callbacks.together.Together": "training.callbacks.callback_list.CallbackList",
    "callbacks.compiling.Compiling": "training.callbacks.compilation.Compilation",
    "callbacks.curves.Curves": "training.callbacks.loss_curves.LossCurves",
    "callbacks.guard.Guard": "training.callbacks.nan_guard.NanGuard",
    "checkpoint.STATUS": "training.run_folder.STATUS",
    "checkpoint.find": "training.checkpoint.find_checkpoint",
    "checkpoint.read": "training.checkpoint.load_checkpoint",
    "checkpoint.status": "training.run_folder.read_status",
    "metrics.weights.digest_of": "paths.sha256_of_file",
    "checkpoint_io.digest_of": "paths.sha256_of_file",
    "checkpoint_io.write": "training.checkpoint_io.write_checkpoint",
    "commands.trained.Trained": "training.inference.TrainedModel",
    "commands.trained.data_of": "training.inference.data_for",
    "commands.trained.device": "training.inference.select_device",
    "commands.trained.load": "training.inference.load_trained_model",
    "record.Record": "training.run_record.RunRecord",
    "record.make_folder": "training.run_folder.make_run_folder",
    "record.read_lines": "training.run_record.read_metric_lines",
    "record.replace_file": "paths.replace_file",
    "record.replace_text": "paths.replace_text",
    "record.versions": "training.run_folder.package_versions",
    "verdict.Verdict": "training.diagnosis.Diagnosis",
    "verdict.judge": "training.diagnosis.diagnose",
}
CALLBACK_STATES = {  # old name of a callback in a checkpoint: its name today
    "Curves": "LossCurves",
    "Guard": "NanGuard",
    "Together": "CallbackList",
}
PACKAGES = {name.rpartition(".")[0] for name in MODULES} - {""}  # folders that held the old modules


def current_name(path: str) -> str:
    """The dotted path of today for an old one: "ganrun.losses.hinge" -> "ganrun.models.losses.hinge"."""
    package, _, name = path.partition(".")
    if package != "ganrun":
        return path
    if name in SYMBOLS:
        return f"ganrun.{SYMBOLS[name]}"
    module, _, symbol = name.rpartition(".")
    if module in MODULES:
        return f"ganrun.{MODULES[module]}.{symbol}"
    return f"ganrun.{MODULES.get(name, name)}"


def update_config(cfg: DictConfig) -> DictConfig:
    """Replace old names in the `_target_` entries of a config, in place, before it is trusted or built.

    A training of version 0.1 gets the default callbacks, which were not part of its config.
    """
    if "trainer" in cfg and "callbacks" not in cfg:
        OmegaConf.update(cfg, "callbacks", OmegaConf.load(conf_dir() / "callbacks" / "default.yaml"), force_add=True)
    for key, value in find_targets(OmegaConf.to_container(cfg)):
        if current_name(value) != value:
            OmegaConf.update(cfg, key, current_name(value), force_add=True)
    return cfg


def update_callback_states(states: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's callback states, and those inside the list of ganrun's callbacks, under today's names."""
    named = {CALLBACK_STATES.get(name, name): state for name, state in states.items()}
    if inner := named.get("CallbackList"):
        named["CallbackList"] = {CALLBACK_STATES.get(name, name): state for name, state in inner.items()}
    return named


def find_targets(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The `_target_` entries of a config, as (key, value)."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        path = f"{key}.{name}" if key else str(name)
        if name == "_target_" and isinstance(value, str):
            yield path, value
        yield from find_targets(value, path)


def look_up(module: str, name: str) -> Any:
    """Return what `name` of this module, or of one that it replaces, is today; raise AttributeError where unknown."""
    today = module.removeprefix("ganrun.")
    for known in (today, *(old for old, new in MODULES.items() if new == today)):
        parent, _, symbol = current_name(f"ganrun.{known}.{name}").rpartition(".")
        if (parent, symbol) != (module, name) and not name.startswith("__"):
            return getattr(import_module(parent), symbol)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


class RenamedModules(MetaPathFinder, Loader):
    """Imports old modules as empty ones that look up each name where it is now. Asked only where no module is found."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        name = fullname.removeprefix("ganrun.")
        if name == fullname or (name not in MODULES and name not in PACKAGES):
            return None
        return ModuleSpec(fullname, self, is_package=name in PACKAGES)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = partial(look_up, module.__name__)
