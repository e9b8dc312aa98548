"""Where Optuna keeps a study: a journal file or a database, and the errors of databases."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ganrun.errors import UserError


@contextmanager
def translate_storage_errors(storage: str, error_type: type[UserError] = UserError) -> Iterator[None]:
    """Turn every error of the database into an error of this type."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each database has exceptions of its own
        raise error_type(describe_storage_error(storage, error)) from error


def describe_storage_error(storage: str, error: Exception) -> str:
    return f"sweep.storage={storage} cannot be used: {str(error).splitlines()[0]}"


def check_study_is_new(storage: str, name: str) -> None:
    """Raise UserError if the database has a study of this name."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with translate_storage_errors(storage):
        if name in optuna.get_all_study_names(storage):
            raise UserError(
                f"The study {name} is in {storage} already and may hold points of other sweeps; sweep.fresh=true does "
                "not replace it. Give another sweep.name=, or delete the study: optuna --storage "
                f"{storage} delete-study --study-name {name}"
            )


@contextmanager
def ignore_experimental_warnings() -> Iterator[None]:
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
