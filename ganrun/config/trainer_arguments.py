"""Every argument of Lightning's Trainer: those that a config may give, and what does the work of the others."""

import os

from omegaconf import DictConfig

from ganrun.errors import UserError, did_you_mean

TRAINER = "pytorch_lightning.Trainer"
PREFIX = "PL_TRAINER_"  # of environment variables that are the Trainer's defaults
HONOURED = (
    "accelerator",
    "devices",
    "num_nodes",
    "strategy",
    "precision",
    "deterministic",
    "benchmark",
    "sync_batchnorm",
)
ADDED = ("compile", "batches_per_step")  # ganrun's own settings beside them
STRATEGIES = ("auto", "ddp_find_unused_parameters_true")
LENGTH = "Use kimg=1000, the length in thousands of images, or minutes=60."
VALIDATION = "Use validate_kimg=100, the thousands of images between two evaluations."
SAMPLES = "Use metrics.samples=1000, the number of samples to score."
CALLBACK = "Use +callbacks.mine._target_=MODULE.CLASS for a callback of your own."
INSTEAD = {  # argument that ganrun sets itself or cannot honour: what to use instead
    **dict.fromkeys(("max_epochs", "max_steps", "max_time", "min_epochs", "min_steps", "limit_train_batches"), LENGTH),
    **dict.fromkeys(("val_check_interval", "check_val_every_n_epoch", "num_sanity_val_steps"), VALIDATION),
    **dict.fromkeys(("limit_val_batches", "limit_test_batches", "limit_predict_batches"), SAMPLES),
    **dict.fromkeys(("callbacks", "plugins"), CALLBACK),
    "accumulate_grad_batches": "Use accumulate=4, the number of batches whose gradients make one step.",
    "gradient_clip_val": "Use clip=1, the largest norm of a player's gradient.",
    "gradient_clip_algorithm": "Use clip=1, the largest norm of a player's gradient.",
    "fast_dev_run": "Use dry_run=true, which checks the settings, or kimg=1 for a short training.",
    "overfit_batches": "Use data=folder with a data.root that holds a few images.",
    "reload_dataloaders_every_n_epochs": "Leave it out: there are no epochs, batches come without end.",
    "use_distributed_sampler": "Leave it out: each device gets its share of every batch.",
    "inference_mode": "Leave it out: samples and scores are computed without gradients.",
    "log_every_n_steps": "Use log_every=50, the batches between two points of the loss curves.",
    "logger": "Use logger=tensorboard, logger=csv, logger=wandb or logger=none.",
    "enable_autolog_hparams": "Use logger=none to log no hyperparameters.",
    "enable_checkpointing": "Use checkpoint.kimg=100, the thousands of images between two checkpoints.",
    "enable_progress_bar": "Use callbacks.progress=null to show no progress.",
    "enable_model_summary": "Use dry_run=true, which shows the networks.",
    "profiler": "Use profile=true.",
    "detect_anomaly": "Use guard=stop, which names the first loss, gradient or weight that is NaN or infinite.",
    "barebones": "Use logger=none metrics=none.",
    "default_root_dir": "Use folder=FOLDER, the run folder.",
    "model_registry": "Use folder=FOLDER, the run folder.",
}


def check_trainer_arguments(trainer: DictConfig) -> None:
    """Raise UserError for arguments of the Trainer, in the config or the environment, that ganrun does not pass on."""
    if trainer.get("_target_", TRAINER) != TRAINER:
        raise UserError(f"trainer._target_ must be {TRAINER}, got {trainer._target_}. Leave it out.")
    for name in map(str, trainer):
        if name not in (*HONOURED, *ADDED, "_target_"):
            unknown = f"Lightning's Trainer has no such argument.{did_you_mean(name, (*HONOURED, *ADDED))}"
            raise UserError(f"trainer.{name} cannot be set. {INSTEAD.get(name, unknown)}")
    if trainer.strategy not in STRATEGIES:
        raise UserError(
            f"trainer.strategy={trainer.strategy} cannot train players in turn. "
            f"Use trainer.strategy=auto, which is {STRATEGIES[1]} on several devices."
        )
    check_environment()


def check_environment() -> None:
    """Raise UserError for an environment variable that sets the default of an argument of the Trainer."""
    for variable in sorted(name for name in os.environ if name.startswith(PREFIX)):
        argument = variable.removeprefix(PREFIX).lower()
        if argument in HONOURED or argument in INSTEAD:
            instead = INSTEAD.get(argument, f"Use trainer.{argument}=VALUE.")
            raise UserError(f"The environment variable {variable} must not be set: unset {variable}. {instead}")
