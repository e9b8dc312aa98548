"""A user's own modules: found in the working folder where the config names them, after installed ones."""

import sys
from importlib import import_module

import pytest
from omegaconf import OmegaConf

from ganrun.config import user_modules
from ganrun.config.user_modules import allow_modules, explain_shadowed, modules_in_config, modules_in_texts


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write modules into the working folder; what is allowed is forgotten after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(user_modules.FINDER, "named", {})
    monkeypatch.setattr(user_modules.FINDER, "imported", {})

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return write


def test_only_named_modules_are_found(write):
    write(own_model="value = 1\n", own_other="value = 2\n")
    with pytest.raises(ImportError):
        import_module("own_model")
    allow_modules(["own_model"])
    assert import_module("own_model").value == 1
    with pytest.raises(ImportError):
        import_module("own_other")


def test_a_named_module_imports_its_siblings_at_once_and_later(write):
    late = "def late():\n    import own_late\n    return own_late.value\n"
    write(own_model=f"from own_helper import value\n{late}", own_helper="from own_more import value\n")
    write(own_more="value = 3\n", own_late="value = 4\n")
    allow_modules(["own_model"])
    assert import_module("own_model").value == 3
    assert sys.modules["own_model"].late() == 4


@pytest.mark.parametrize("parts", [("own__model",), ("own__model", "own____init__")])
def test_a_named_folder_is_a_package(write, parts):
    write(
        **dict.fromkeys(parts, "from . import part\nvalue = part.value\n"),
        own__part="import own_side as part; value = part.value\n",
    )
    write(own_side="value = 5\n")
    allow_modules(["own"])
    assert import_module("own.model").value == 5


def test_an_installed_package_does_not_find_siblings_of_a_named_module(write, tmp_path, monkeypatch):
    """Libraries import optional packages; a user's file of that name is not one."""
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "a_library.py").write_text(
        "try:\n    import own_optional\nexcept ImportError:\n    own_optional = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "installed")
    write(own_model="import a_library\n", own_optional="")
    allow_modules(["own_model"])
    import_module("own_model")
    assert sys.modules["a_library"].own_optional is None


@pytest.mark.parametrize("name", ["profile", "random", "types", "torch", "yaml", "numpy", "time"])
def test_an_installed_module_comes_first_and_the_message_says_so(write, name, tmp_path):
    write(**{name: "raise RuntimeError\n"})
    allow_modules([name])
    before = sys.modules.pop(name) if name == "profile" and name in sys.modules else None
    assert import_module(name)
    del before
    message = explain_shadowed(f"{name}.MyGAN", "no such class")
    assert f"{tmp_path / name}.py is not imported: " in message
    assert ("Python's own module" if name in sys.stdlib_module_names else "the installed package") in message
    assert "Rename the file" in message


def test_there_is_no_message_about_modules_that_are_not_shadowed(write):
    write(own_model="", own_other="")
    allow_modules(["own_model"])
    import_module("own_model")
    assert explain_shadowed("own_model.MyGAN", "'own_other' has no class 'random'") == ""
    assert explain_shadowed("profile.MyGAN") == ""


def test_modules_are_named_by_targets_alone():
    config = {
        "model": {"_target_": "a.b.C", "loss": {"_target_": "${name}"}, "root": "c.d"},
        "name": "e.F",
        "scores": ["kid", {"_target_": "g.h"}, {"_target_": "hydra.utils.get_class", "path": "i.J"}],
        "bad": {"_target_": "${nothing}"},
        "none": {"_target_": None},
    }
    assert modules_in_config(OmegaConf.create(config)) == {"a", "e", "g", "hydra", "i", "None"}
    texts = [
        "model._target_=a.B",
        "x=[{_target_: b.C}]",
        "+c={'_target_':'c.D'}",
        'm:\n  _target_: "d.E"  # e',
        "f=g.H",
    ]
    assert modules_in_texts(texts) == {"a", "b", "c", "d"}
