"""Callbacks that work with the objects of a run that is not there."""

from types import SimpleNamespace

from ganrun.training.checkpoint_io import DurableIO


def bound(callback, callbacks=None, **objects):
    """Return the callback, bound to a run of these objects.

    callbacks: the run's other callbacks, {class: what stands for it}.
    """
    others = {"own_callbacks": [], "checkpoint_io": DurableIO(), **objects}
    callback.run = SimpleNamespace(find=(callbacks or {}).__getitem__, **others)
    return callback
