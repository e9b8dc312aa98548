"""Reading a config.yaml that a run has saved, or that a stranger has put there."""

from functools import cache
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from ganrun.config.json_forms import MAX_DEPTH, MAX_SETTINGS, is_config
from ganrun.config.renames import iterate_values

# ganrun writes files of some hundred values, three levels deep. Larger ones take PyYAML seconds, deep ones minutes.
MAX_BYTES = 2**18
MAX_SCALAR = 10_000  # characters of one value


def parse_saved_config(text: str) -> dict[str, Any]:
    """Return the nested settings in a YAML text. Raises ValueError if it is damaged, or not such as ganrun writes."""
    try:
        check_events(text)
        content = yaml.load(text, Loader=config_loader())
        OmegaConf.create([value for _, value in iterate_values(content) if isinstance(value, str) and "${" in value])
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError, TypeError) as error:
        raise ValueError(f"it is not YAML of settings: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not content or not is_config(content):
        raise ValueError("it holds other things than settings")
    return content


@cache
def config_loader() -> Any:
    """Return OmegaConf's loader, which knows 1e-4 and refuses a key that is there twice, with libyaml's parser.

    The parser in Python that it has itself takes 15 times as long: 40 ms for a run's config.
    """
    loader = get_yaml_loader()
    try:
        from yaml._yaml import CParser  # pyright: ignore[reportMissingImports]
    except ImportError:  # PyYAML was built without libyaml
        return loader

    class ConfigLoader(CParser, loader):
        def __init__(self, stream: str):
            CParser.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return ConfigLoader


def check_events(text: str) -> None:
    """Raise ValueError for a text that takes long to load, or becomes larger by aliases, which ganrun never writes."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise ValueError("it has a YAML alias or tag, which ganrun does not write")
        if depth > MAX_DEPTH or count > MAX_SETTINGS or len(getattr(event, "value", "")) > MAX_SCALAR:
            raise ValueError("it is nested too deeply or too large")
