"""Where the jobs of a sweep run: executors with one interface, `base.Executor`.

docs/sweeps.md says who needs which. Hydra's own sweeper (`hydra/sweeper=basic`) uses none of them.
"""
