from helpers.fixtures import fixed_seed, model_cache, one_quiet_thread  # noqa: F401
