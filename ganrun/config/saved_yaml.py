"""Reading a config.yaml that a run has saved, or that a stranger has put there."""

import io

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganrun.config.json_forms import MAX_DEPTH, MAX_SETTINGS, is_config

# ganrun writes files of some hundred values, three levels deep. Larger ones take PyYAML seconds, deep ones minutes.
MAX_BYTES = 2**18
MAX_SCALAR = 10_000  # characters of one value


def parse_saved_config(text: str) -> DictConfig:
    """Return the config in a YAML text. Raises ValueError if it is damaged, or not such as ganrun writes."""
    try:
        check_events(text)
        config = OmegaConf.load(io.StringIO(text))
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError, OSError, TypeError) as error:
        raise ValueError(f"it is not YAML of settings: {' '.join(str(error).split())}") from error
    if not isinstance(config, DictConfig) or not config or not is_config(OmegaConf.to_container(config)):
        raise ValueError("it holds other things than settings")
    return config


def check_events(text: str) -> None:
    """Raise ValueError for a text that takes long to load, or becomes larger by aliases, which ganrun never writes."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise ValueError("it has a YAML alias or tag, which ganrun does not write")
        if depth > MAX_DEPTH or count > MAX_SETTINGS or len(getattr(event, "value", "")) > MAX_SCALAR:
            raise ValueError("it is nested too deeply or too large")
