from helpers.fixtures import fixed_seed  # noqa: F401
