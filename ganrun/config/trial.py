"""The trial before training: the loss of each player, and its gradients, on a batch of zeros."""

import copy
import sysconfig
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ganrun
from ganrun.data.keys import kinds_needed
from ganrun.data.module import DataModule
from ganrun.errors import UserError
from ganrun.models.base import Adversarial
from ganrun.models.player import Batch, Player
from ganrun.networks.sizes import UnfitSizeError

PACKAGE = str(Path(ganrun.__file__).parent)
INSTALLED = {PACKAGE, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))}


@dataclass(frozen=True)
class Misfit:
    """Why a model cannot train on some data.   is_own: whether the reason names a place in the user's own code."""

    reason: str
    is_own: bool


class LossError(UserError):
    """A player's loss returns what is no loss."""


def find_misfit(model: Adversarial, data: DataModule, is_thorough: bool = True) -> Misfit | None:
    """Return why a player cannot take a step on this data; None if it can. Leaves the model unchanged.

    Tries a copy on the meta device, which costs nothing, then one on the CPU: some losses need actual values.
    is_thorough: on the CPU whatever the error, not only one that is about the meta device.
    """
    misfit = None
    for device in ("meta", "cpu"):
        try:
            trial = copy.deepcopy(model)
            trial = trial.to_empty(device=device) if model.some_weight.is_meta else trial.to(device)
            try_players(trial, example_batch(model, data, device))
            return None
        except Exception as error:
            misfit = explain_error(error)
            if not is_thorough and "meta" not in str(error).lower():
                break
    return misfit


def activation_bytes(model: Adversarial, data: DataModule) -> int | None:
    """Return the bytes that a step keeps for its gradient, a mean over the players: less than the most that is needed.

    Counted on the meta device, which costs nothing; None for losses that need actual values.
    """
    storages: dict[int, torch.UntypedStorage] = {}  # by address, and held: another one gets another address

    def count(saved: Tensor) -> Tensor:
        storages[saved.untyped_storage()._cdata] = saved.untyped_storage()
        return saved

    try:
        trial = copy.deepcopy(model).to("meta")
        with torch.autograd.graph.saved_tensors_hooks(count, lambda saved: saved):
            try_players(trial, example_batch(model, data, "meta", data.batch_size))
    except Exception:  # the check of the model has told already whether it trains
        return None
    return sum(storage.nbytes() for storage in storages.values()) // len(model.players())


def example_batch(model: Adversarial, data: DataModule, device: str, count: int = 0) -> dict[str, Tensor]:
    """Return a batch of zeros, of so many examples, or as many as the model's trial needs."""
    wanted = {name: key for name, key in data.offered.items() if name in kinds_needed(model.needs)}
    return {name: key.example(count or model.trial_size, device) for name, key in {**data.keys, **wanted}.items()}


def try_players(model: Adversarial, batch: Batch) -> None:
    """Backpropagate the loss of each player, with the weights of the others frozen, as in training."""
    players = model.players()
    trained = {p.name: [w for net in p.nets for w in net.parameters() if w.requires_grad] for p in players}
    for player in players:
        for w in model.parameters():
            w.requires_grad_(False)
        for w in trained[player.name]:
            w.requires_grad_(True)
        terms = player.loss(batch)
        if terms is not None:
            backpropagate(player, checked_loss(player, terms))


def backpropagate(player: Player, loss: Tensor) -> None:
    try:
        loss.backward()
    except Exception as error:  # no frame of its traceback is in the loss
        code = code_of(player.loss)
        if code and is_users_file(code.co_filename):
            raise LossError(f"The gradient of {place_of(player.loss)} cannot be computed: {error}") from error
        raise


def checked_loss(player: Player, terms: Any) -> Tensor:
    """Return the scalar to minimize of what a player's loss returns. Raises LossError if there is none."""
    where = f"The loss of the player {player.name}, {place_of(player.loss)},"
    if isinstance(terms, Mapping) and "loss" not in terms:
        raise LossError(f"{where} returns the terms {', '.join(terms)}; the one to minimize must be named loss.")
    loss = terms["loss"] if isinstance(terms, Mapping) else terms
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        found = f"a tensor of shape {[*loss.shape]}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise LossError(f"{where} must be a scalar tensor, such as a mean over the batch, got {found}.")
    if not loss.requires_grad:
        raise LossError(f"{where} does not depend on the weights of its networks, so it has no gradient.")
    return loss


def place_of(loss: Any) -> str:
    """Return name and place of a loss: "hinge in mygan.py:12"."""
    code = code_of(loss)
    return f"{loss_name(loss)} in {code.co_filename}:{code.co_firstlineno}" if code else loss_name(loss)


def code_of(loss: Any) -> Any:
    """Return the code of a loss that is a function, a method or an object with __call__; None for others."""
    function = unwrap(loss)
    function = function if hasattr(function, "__name__") else type(function).__call__
    return getattr(getattr(function, "__func__", function), "__code__", None)


def loss_name(loss: Any) -> str:
    """Return the name of a loss: a method, a function, a functools.partial of one, or an object."""
    return getattr(unwrap(loss), "__name__", type(unwrap(loss)).__name__)


def unwrap(loss: Any) -> Any:
    while isinstance(loss, partial):
        loss = loss.func
    return loss


def explain_error(error: Exception) -> Misfit:
    """Return the reason of an error, with file and line if it was raised in the user's own code."""
    if isinstance(error, UserError) and not isinstance(error, UnfitSizeError):
        return Misfit(str(error), True)
    reason = f"{str(error).splitlines()[0] if str(error) else type(error).__name__}."
    if "positional argument" in reason:
        reason = "its players take other inputs than this model passes to them (images, noise, classes)."
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if is_users_file(frame.filename) or is_network_file(frame.filename)
    ]
    own = [frame for frame in frames if is_users_file(frame.filename)]
    if not own:
        return Misfit(reason, False)
    place = f"{own[-1].filename}:{own[-1].lineno}, in {own[-1].name}"
    if frames[-1] is not own[-1]:  # the error is in one of ganrun's networks, which may not fit
        return Misfit(f"{reason.rstrip('.')} (called in {place}).", False)
    return Misfit(f"{place}: {type(error).__name__}: {error}", True)


def is_network_file(filename: str) -> bool:
    """Return whether a file is one of ganrun's networks."""
    return Path(filename).parent == Path(PACKAGE) / "networks"


def is_users_file(filename: str) -> bool:
    """Return whether a file is the user's own: not ganrun's, Python's or another installed package's."""
    path = Path(filename)
    return path.is_absolute() and not any(path.is_relative_to(folder) for folder in INSTALLED)
