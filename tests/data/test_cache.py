"""The uint8 cache: written once, complete or not at all."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ganrun.data import cache as arrays
from ganrun.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 1, 4, 4), dtype=np.uint8)


def write(store):
    store.new("train", "x", PIXELS.shape)[:] = PIXELS
    store.save("train", "y", np.arange(6))
    return {"classes": ["a", "b"], "skipped": ["c.png: empty"]}


def built(options, write=write):
    folder = arrays.cache_folder("name", options, [])
    arrays.write_cache(folder, options, write)
    return folder


def test_a_cache_is_loaded_as_it_was_written():
    contents = arrays.open_cache(built({"size": 4}))
    assert np.array_equal(contents.splits["train"]["x"].numpy(), PIXELS)
    assert contents.splits["train"]["y"].tolist() == [0, 1, 2, 3, 4, 5]
    assert (contents.classes, contents.skipped, contents.is_paired) == (["a", "b"], ["c.png: empty"], False)


def test_a_cache_is_written_once():
    calls = []
    for _ in range(3):
        built({"size": 4}, lambda store: (calls.append(1), write(store))[1])
    assert calls == [1]


def test_the_manifest_has_options_shapes_and_skipped_files():
    manifest = json.loads((built({"size": 4}) / "manifest.json").read_text())
    assert manifest["options"] == {"size": 4}
    assert manifest["shapes"] == {"train-x": [6, 1, 4, 4], "train-y": [6]}
    assert manifest["skipped"] == ["c.png: empty"]
    assert len(manifest["fingerprint"]) == 32


def test_skipped_images_are_counted_and_listed_in_the_log(caplog):
    built({"size": 4})
    assert "Skipped c.png: empty" in caplog.text
    assert "Skipped images: 1" in caplog.text


def test_a_failed_write_leaves_no_file(cache):
    def fail(store):
        write(store)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built({"size": 4}, fail)
    assert list((cache / "data").iterdir()) == []


def test_concurrent_writers_leave_one_complete_cache(cache):
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: built({"size": 4}), range(8)))
    assert list((cache / "data").iterdir()) == list(folders)
    assert np.array_equal(arrays.open_cache(folders.pop()).splits["train"]["x"].numpy(), PIXELS)


def test_writing_to_a_loaded_tensor_does_not_change_the_file():
    folder = built({"size": 4})
    arrays.open_cache(folder).splits["train"]["x"].zero_()
    assert np.array_equal(np.load(folder / "train-x.npy"), PIXELS)


def test_the_cache_folder_depends_on_options_and_files(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    places = [arrays.cache_folder("name", {"size": 4}, [picture]), arrays.cache_folder("name", {"size": 5}, [picture])]
    places.append(arrays.cache_folder("name", {"size": 4}, []))
    picture.write_bytes(b"other")
    places.append(arrays.cache_folder("name", {"size": 4}, [picture]))
    os.utime(picture, (1, 1))
    places.append(arrays.cache_folder("name", {"size": 4}, [picture]))
    assert len(set(places)) == 5
    assert places[-1] == arrays.cache_folder("name", {"size": 4}, [picture])


def test_the_fingerprint_depends_on_content_and_options_but_not_on_the_root():
    def other(store):
        facts = write(store)
        store.save("train", "y", np.arange(6) + 1)
        return facts

    prints = [arrays.open_cache(built({"root": root, "size": 4})).fingerprint for root in ("/a", "/b")]
    assert prints[0] == prints[1]
    assert len({*prints, arrays.open_cache(built({"root": "/c", "size": 4}, other)).fingerprint}) == 2
    assert len({*prints, arrays.open_cache(built({"size": 5})).fingerprint}) == 2


def test_rows_are_kept_in_order():
    def keep(store):
        write(store)
        store.keep_rows("train", "x", [0, 3, 4])
        return {}

    assert np.array_equal(arrays.open_cache(built({}, keep)).splits["train"]["x"].numpy(), PIXELS[[0, 3, 4]])


def test_a_damaged_cache_is_named():
    folder = built({"size": 4})
    (folder / "train-x.npy").write_bytes((folder / "train-x.npy").read_bytes()[:140])
    with pytest.raises(UserError, match=f"{folder} are damaged"):
        arrays.open_cache(folder)


def test_data_larger_than_the_free_disk_space_are_refused_before_they_are_written():
    with pytest.raises(UserError, match="GANRUN_CACHE"):
        built({}, lambda store: store.new("train", "x", (10**9, 3, 64, 64)))


def test_a_cache_folder_that_cannot_be_created_is_named(cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="GANRUN_CACHE"):
        built({})
