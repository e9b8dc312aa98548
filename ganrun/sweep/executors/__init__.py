"""Where the jobs of a sweep run: executors with one interface, `base.Executor`.

Who needs which:

- `LocalExecutor` (the default) runs jobs as processes of this machine, `sweep.jobs` at a time. Each job gets its own
  GPUs, unless `sweep.jobs_per_gpu` lets several share one; sweeps that run at the same time divide the GPUs.
- `SlurmExecutor` (`sweep.sbatch='--partition=gpu --gpus=1'`) is for a Slurm cluster. It needs no further package, keeps
  the queue filled with `sweep.jobs` jobs, and requeues a job that is preempted or reaches its time limit. A sweep that
  is started again finds its jobs in the queue.
- `HydraExecutor` (`hydra/launcher=joblib`, `submitit_slurm`, ...) is for another scheduler, or for settings of a
  launcher that you already have. It works batch by batch: the next `sweep.jobs` jobs start when a batch is complete.

All three have searches, pruning, retries, resuming and reports. With Hydra's own sweeper (`hydra/sweeper=basic`) there
is no executor: Hydra trains one job after the other, in folders named by `hydra.sweep.*`, without any of these.
"""
