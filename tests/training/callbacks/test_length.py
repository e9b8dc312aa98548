"""When a training ends."""

from types import SimpleNamespace

import pytest

from ganrun.training.callbacks.length import Length


def batches_of(length, batch_size):
    """How many batches a training of this length has."""
    trainer = SimpleNamespace(should_stop=False, world_size=1)
    model = SimpleNamespace(images_seen=0, progress=0.0)
    length.on_train_start(trainer, model)
    batches = 0
    while not trainer.should_stop:
        model.images_seen += batch_size
        batches += 1
        length.on_train_batch_end(trainer, model, None, None, 0)
    assert model.progress == 1
    return batches


@pytest.mark.parametrize(("kimg", "batch_size", "batches"), [(2.007, 1, 2007), (1.003, 1, 1003), (0.1, 64, 2)])
def test_a_training_ends_with_the_first_batch_that_reaches_its_images(kimg, batch_size, batches):
    assert batches_of(Length(kimg, None), batch_size) == batches


def test_a_training_ends_after_its_minutes(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("ganrun.training.callbacks.length.time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert batches_of(Length(1e9, minutes=0.5), 1) == 29  # the clock is read twice before the first batch


def test_minutes_of_an_interrupted_training_count(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("ganrun.training.callbacks.length.time", SimpleNamespace(monotonic=lambda: next(clock)))
    length = Length(1e9, minutes=0.5)
    length.load_state_dict({"seconds": 20})
    assert batches_of(length, 1) == 9


def test_a_training_that_has_all_its_images_has_no_batch_more():
    trainer, model = SimpleNamespace(should_stop=False, world_size=1), SimpleNamespace(images_seen=2000, progress=0.0)
    Length(2, None).on_train_start(trainer, model)
    assert trainer.should_stop
