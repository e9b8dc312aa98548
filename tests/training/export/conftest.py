from helpers.fixtures import model_cache, one_quiet_thread  # noqa: F401
