"""The choice of the executor."""

from collections.abc import Sequence

from hydra.types import HydraContext
from omegaconf import DictConfig

from ganrun.sweep import validate
from ganrun.sweep.executors.base import Executor
from ganrun.sweep.executors.gpus import GpuPool, visible_gpus
from ganrun.sweep.executors.hydra_launcher import HydraExecutor
from ganrun.sweep.executors.local import LocalExecutor
from ganrun.sweep.executors.slurm import SlurmExecutor
from ganrun.sweep.state import SWEEP_VARIABLE, SweepState


def build_executor(
    context: HydraContext, config: DictConfig, state: SweepState, configs: Sequence[DictConfig]
) -> Executor:
    """Return the executor that the settings choose. configs: of the sweep's values, for the GPUs that they ask for."""
    settings, env = config.sweep, {SWEEP_VARIABLE: str(state.folder.absolute())}
    if settings.sbatch is not None:
        return SlurmExecutor(settings.jobs, env, settings.sbatch, state)
    if validate.chosen_launcher(config):
        return HydraExecutor(settings.jobs, env, context, config, state.folder)
    gpus = visible_gpus()
    gpus_per_job = validate.gpus_per_job(configs, settings.jobs, len(gpus))
    pool = GpuPool(gpus if gpus_per_job else [], settings.jobs_per_gpu)
    return LocalExecutor(settings.jobs, env, pool, gpus_per_job)
