"""Runs a command through Hydra: one job or a sweep, each in its own folder. A failed job does not stop the others."""

import gc
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

import ganrun.config.network_parts
import ganrun.config.precedence
import ganrun.config.resolvers  # noqa: F401  both also for jobs that a launcher of Hydra starts elsewhere
from ganrun import files
from ganrun.cli import hydra_errors
from ganrun.cli.arguments import Command
from ganrun.config import renames, schema, user_modules
from ganrun.config.interpolations import quote_text
from ganrun.config.overrides import OVERRIDE, config_dir_flags, repeatable_overrides, search_path_overrides
from ganrun.errors import UserError, print_error, print_traceback
from ganrun.files import timed_output
from ganrun.sweep import hydra_context, naming
from ganrun.sweep.hydra_context import CommandContext
from ganrun.sweep.state import SWEEP_VARIABLE
from ganrun.terminal import configure_logging, format_length, working

log = logging.getLogger(__name__)

# Lightning sets these for its ranks and leaves them set: the next job of a sweep would wait for ranks that are gone.
RANK_VARIABLES = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GANRUN_FOLDER")
# Process groups of finished jobs, kept alive on purpose: DDP frees the last reference without releasing the GIL, for
# which a thread of the group may be waiting, and the process would deadlock (pytorch/pytorch#56297).
FINISHED_GROUPS: list[object] = []


def run_command(command: Command) -> int:
    """Run the command and return its exit code: that of its only job, or that of the sweep.

    A sweep returns 1 if some of its jobs failed, and 2 if every job was refused because of its config.
    """
    configure_logging()
    context = CommandContext(command.flags, command.overrides, command.trust)
    try:
        run_hydra(command, context, lambda cfg: run_job(command, cfg, context.outcomes))
    except Exception as error:
        return report_error(error, hydra_errors.as_composition_error(error, command))
    return exit_code(context.outcomes)


def call_command(command: Command) -> Path:
    """Run a command of a single job and return its folder. Raise its errors, UserError for those of the config."""
    configure_logging()
    outcomes: list[Path | Exception] = []

    def task(cfg: DictConfig) -> None:
        try:
            outcomes.append(run_isolated(command, cfg, ""))
        except Exception as error:  # Hydra would print an error that is raised
            outcomes.append(error)

    try:
        run_hydra(command, CommandContext(command.flags, command.overrides), task)
    except Exception as error:
        raise hydra_errors.as_composition_error(error, command) or error from error
    if isinstance(outcomes[0], Exception):
        raise hydra_errors.as_user_error(outcomes[0], command) or outcomes[0]
    return outcomes[0]


def run_hydra(command: Command, context: CommandContext, task: Callable[[DictConfig], None]) -> None:
    """Let Hydra, which knows neither the verb nor RUN, compose the config and call `task` with it, once per job."""
    flags = [arg for name, value in command.flags.items() for arg in ([name, value] if value else [name])]
    texts = user_modules.user_texts([*command.overrides, *command.changes], command.flags)
    user_modules.allow_modules(user_modules.modules_in_texts(texts))
    args = [*flags, *command.overrides, *sweep_dir_override(command)]
    with (
        hydra_context.activate(context, args),
        known_mode(command),
        renames.accepted_old_overrides(),
        kept_hydra_config(),
    ):
        start = hydra.main(config_path=str(files.conf_dir()), config_name=command.verb, version_base="1.3")
        start(task)()


@contextmanager
def kept_hydra_config() -> Iterator[None]:
    """Keep the settings of a command, which may be wrong, from what is composed or loaded after it in this process."""
    before = HydraConfig.instance().cfg
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


@contextmanager
def known_mode(command: Command) -> Iterator[None]:
    """Keep Hydra from composing the config once more, a tenth of a short job, only to read hydra.mode.

    A job of a sweep is no sweep; elsewhere, only a config or an override of the user's sets the mode.
    """
    compose_mode = Hydra.get_mode
    is_job = SWEEP_VARIABLE in os.environ and not command.is_sweep
    if is_job or not ("--config-dir" in command.flags or any("hydra" in arg for arg in command.overrides)):
        Hydra.get_mode = lambda *_, **__: RunMode.RUN if is_job else None
    try:
        yield
    finally:
        Hydra.get_mode = compose_mode


def sweep_dir_override(command: Command) -> list[str]:
    """Return the override that puts the jobs of a sweep with folder=F into F; [] if it is not needed."""
    given = {match["key"]: match["value"] for arg in command.overrides if (match := OVERRIDE.match(arg))}
    is_needed = command.is_sweep and "folder" in given and "hydra.sweep.dir" not in given
    is_needed = is_needed and "folder" in naming.fixed_keys(command.overrides)
    return [f"hydra.sweep.dir={given['folder']}"] if is_needed else []


def run_job(command: Command, cfg: DictConfig, outcomes: list[tuple[str, int]]) -> None:
    """Run one job and append its outcome. An error is reported but not raised, so that the other jobs still run."""
    name, code = current_job_name(command), 0
    try:
        with uncollected_imports(), working(describe_start(command, cfg)):
            command_module(command)
        run_isolated(command, cfg, name)
    except Exception as error:
        code = report_error(error, hydra_errors.as_user_error(error, command))
    outcomes.append((name, code))


def describe_start(command: Command, cfg: DictConfig) -> str:
    """Return what a command says while it loads its libraries."""
    if command.verb != "train":
        return f"{command.verb}: loading PyTorch ..."
    choices, length = HydraConfig.get().runtime.choices, ""
    with suppress(OmegaConfBaseException, TypeError, ValueError):  # no numbers: reported soon
        length = f", {format_length(cfg.get('kimg'), cfg.get('minutes'))}"
    return f"{choices.get('model')} on {choices.get('data')}{length}: loading PyTorch ..."


def run_isolated(command: Command, cfg: DictConfig, name: str) -> Path:
    """Run a job, leave sys.argv, environment and process groups as they were, and return the folder that it wrote."""
    with hydra_context.restored_process(*RANK_VARIABLES), closed_process_group():
        sys.argv = [sys.argv[0], *rank_args(command)]
        folder = prepare_config(command, cfg, name)
        schema.check_values(cfg)
        if name:
            log.info("job %s", name)
        module = command_module(command)

        from ganrun.training.session import silence_libraries  # imports torch, which --cfg and --info do not need

        silence_libraries()
        module.run(cfg, folder)
        return Path(os.environ["GANRUN_FOLDER"])


def command_module(command: Command) -> ModuleType:
    """Import the module of the command's verb, which imports torch for most verbs."""
    return importlib.import_module(f"ganrun.cli.commands.{command.verb}")


@contextmanager
def uncollected_imports() -> Iterator[None]:
    """Keep Python's garbage collector off what is imported in the block, now and later.

    It would search the million objects of torch and its dependencies again and again, a quarter of the start's time.
    """
    is_first = "torch" not in sys.modules  # later, objects of an earlier job would never be collected
    gc.disable()
    try:
        yield
    finally:
        if is_first:
            gc.freeze()
        gc.enable()


def current_job_name(command: Command) -> str:
    """Return the name of the running job of a sweep, "" outside a sweep."""
    config = HydraConfig.get()
    if config.mode != RunMode.MULTIRUN:
        return ""
    fixed = naming.fixed_keys(command.overrides)
    return naming.format_job_name(config.job.num, naming.swept_values(list(config.overrides.task), fixed))


def prepare_config(command: Command, cfg: DictConfig, name: str) -> Path:
    """Put RUN, changes and run folder into the config of a job, rename its old settings, and return the run folder."""
    if command.run is not None:
        set_literal(cfg, "run", command.run)
    if command.changes:
        OmegaConf.update(cfg, "changes", command.changes, force_add=True)
    with open_dict(cfg):
        cfg.pop("sweep", None)  # these settings are not part of a job
    renames.update_config(cfg)
    user_modules.allow_modules(user_modules.modules_in_config(cfg), HydraConfig.get().runtime.cwd)
    folder = choose_run_dir(command, cfg, name)
    if cfg.get("folder", "") is not None:  # null: the command chooses
        set_literal(cfg, "folder", str(folder))
    os.environ["GANRUN_FOLDER"] = str(folder)
    return folder


def set_literal(cfg: DictConfig, key: str, text: str) -> None:
    """Set the key to the text, even if that looks like an interpolation."""
    OmegaConf.update(cfg, key, quote_text(text), force_add=True)


def choose_run_dir(command: Command, cfg: DictConfig, name: str) -> Path:
    """Return the run folder: that of the first rank, or one in the sweep's folder, or the config's `folder`."""
    if first_rank_dir := os.environ.get("GANRUN_FOLDER"):
        return Path(first_rank_dir)
    config = HydraConfig.get()
    is_swept = "folder" in naming.swept_values(list(config.overrides.task), naming.fixed_keys(command.overrides))
    if name and not is_swept:
        return Path(config.sweep.dir) / name
    return Path(str(cfg.folder)) if cfg.get("folder") else timed_output(command.verb)


def rank_args(command: Command) -> list[str]:
    """Return the arguments with which Lightning starts the other ranks of this job.

    A job of a sweep gets its own overrides and no -m. Lightning appends hydra.run.dir and two more overrides.
    """
    config = HydraConfig.get()
    overrides = command.overrides
    if config.mode == RunMode.MULTIRUN:
        overrides = [*config.overrides.task, *search_path_overrides(config.overrides.hydra), "hydra.mode=RUN"]
    run, flags = [command.run] if command.run else [], config_dir_flags(command.flags)
    return [command.verb, *run, *flags, *repeatable_overrides(command.verb, overrides), *command.changes]


@contextmanager
def closed_process_group() -> Iterator[None]:
    """Close the job's process group at the end of the block, if it has opened one."""
    try:
        yield
    finally:
        distributed = sys.modules.get("torch.distributed")
        if distributed and distributed.is_available() and distributed.is_initialized():
            FINISHED_GROUPS.append(distributed.group.WORLD)
            distributed.destroy_process_group()


def report_error(error: Exception, user_error: UserError | None) -> int:
    """Print a UserError as one message, another error with its traceback. Return the exit code."""
    if user_error is None:
        print_traceback(error)
        return 1
    print_error(user_error)
    return user_error.exit_code


def exit_code(outcomes: list[tuple[str, int]]) -> int:
    """Return the exit code of the whole command, after logging which jobs failed."""
    failed = [name for name, code in outcomes if code]
    if any(failed):
        log.error("%d of %d jobs failed: %s", len(failed), len(outcomes), ", ".join(failed))
    return 0 if not failed else 2 if all(code == 2 for _, code in outcomes) else 1
