"""Interpolations of saved configs: those of keys are resolved, those that call a resolver are texts."""

import pytest
from omegaconf import OmegaConf

from ganrun.config.interpolations import (
    calls_resolver,
    check_size,
    fill_in_keys,
    quote_text,
    resolved_copy,
    resolver_calls,
    target_path,
    without_resolvers,
)

CALLS = [
    "${oc.env:HOME}",
    "${ oc.env:HOME }",
    "${oc.env:HOME,${b}}",
    "${oc.env:${b}}",
    "${oc.decode:'1'}",
    "${oc.create:{a: 1}}",
    "${oc.select:b}",
    "${oc.dict.values:c}",
    "${hydra:runtime.cwd}",
    "${now:%Y}",
    "${c.${b}}",
    "a${b}${oc.env:HOME}",
    "$${oc.env:HOME}",
    r"\\${oc.env:HOME}",
    r"\${b}${oc.env:HOME}",
    r"\${${oc.env:HOME}}",
    "${oc.env:'}'}",
    "${image_shape:1,${oc.env:HOME}}",
    "${image_shape:1,{a: 1}}",
    "${image_shape:HOME}",
    "${packed_shape:HOME,2}",
    "${packed_shape:[1],{a: 1}}",
    "${packed_shape:${b},${oc.env:HOME}}",
    "${unpacked_shape:1,2}",
    "${outputs_dir:}/a",
]
KEYS = [
    "${b}",
    "${.b}",
    "${..c.d}",
    "${c[0]}",
    "a${b}c${b}",
    "$",
    "{b}",
    "${ b }",
    "${image_shape:3,${b}}",
    "${image_shape:${b},[8, 9]}",
    "${packed_shape:${b},2}",
    "${packed_shape:[3, 8, 8],${b}}",
]
TEXTS = [r"\${oc.env:HOME}", r"\\\${oc.env:HOME}", r"a\${b}", "text", ""]


@pytest.mark.parametrize("value", CALLS)
def test_a_value_that_calls_a_resolver_becomes_the_text_that_it_is(value, monkeypatch):
    monkeypatch.setenv("HOME", "secret")
    content = {"a": ["x", {"v": value}], "b": "HOME"}
    assert [*resolver_calls(content)] == [("a.1.v", value)]
    cfg = without_resolvers(content)
    assert "secret" not in str(OmegaConf.to_container(cfg, resolve=True))
    assert cfg.a[1].v.replace("\\", "") == value.replace("\\", "")
    assert OmegaConf.to_container(without_resolvers(content, own=[value])) == content


@pytest.mark.parametrize("value", [*KEYS, *TEXTS, 1, None, True, 0.5])
def test_other_values_stay_as_they_are(value):
    assert not calls_resolver(value)
    assert OmegaConf.to_container(without_resolvers({"v": value})) == {"v": value}


@pytest.mark.parametrize("text", [*CALLS, *KEYS, *TEXTS, "${", "a\\", r"\\"])
def test_a_quoted_text_means_itself_and_survives_saving_and_loading(text):
    cfg = OmegaConf.create({"v": quote_text(text), "w": "${v}"})
    assert cfg.v == text
    again = OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create(resolved_copy(cfg))))
    assert (again.v, again.w) == (text, text)


@pytest.mark.parametrize("value", ["${%s}${%s}", ["${%s}", "${%s}"], {"x": "${%s}", "y": "${.%s}"}])
def test_a_config_that_grows_when_it_is_resolved_is_refused_without_resolving_it(value):
    def fill(node, name):
        if isinstance(node, dict):
            return {"x": f"${{{name}}}", "y": f"${{..{name}}}"}
        return [fill(item, name) for item in node] if isinstance(node, list) else node.replace("%s", name)

    content = {f"k{i}": fill(value, f"k{i + 1}") for i in range(64)} | {"k64": "end"}
    with pytest.raises(ValueError, match="too large"):
        check_size(content)
    check_size({key: content[key] for key in ("k60", "k61", "k62", "k63", "k64")})


def test_cycles_and_missing_keys_have_a_size():
    check_size({"a": "${b}", "b": "${a}", "c": "${nothing.there[3]}", "d": ["${d}"]})


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("x.y", ("x", "y")),
        ("x[y][0]", ("x", "y", "0")),
        (".x", ("a", "b", "x")),
        ("..x", ("a", "x")),
        ("....x", ("x",)),
    ],
)
def test_a_relative_key_starts_at_the_parent_of_its_value(key, path):
    assert target_path(key, ("a", "b", "c")) == path


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("${c.b}", 5),
        ("${ c.b }", 5),
        ("${none}", None),
        ("${list.1}", "y"),
        ("${c.b}0", "${c.b}0"),
        ("${c}", "${c}"),
        ("${missing}", "${missing}"),
        ("${.b}", "${.b}"),
        (r"\${c.b}", r"\${c.b}"),
        ("${oc.env:HOME}", "${oc.env:HOME}"),
    ],
)
def test_values_that_are_a_key_are_filled_in_without_omegaconf(value, filled):
    content = {"c": {"b": 5}, "none": None, "list": ["x", "y"], "value": {"deep": [value]}}
    assert fill_in_keys(content)["value"] == {"deep": [filled]}
    if filled != value:
        assert OmegaConf.to_container(OmegaConf.create(content), resolve=True) == fill_in_keys(content)
