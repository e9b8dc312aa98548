"""generator=NAME, discriminator=NAME, encoder=NAME: one part of a network set in the place of that of network=.

To Hydra, each part is a config group, whose choices are the files in conf/network. A part comes as a whole: nothing of
the replaced one is left, and settings that it shares with the rest of its set, ${network.width}, become values of it.
"""

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ConfigDefault, GroupDefault, InputDefault
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from ganrun.config.docs import NETWORK_PARTS
from ganrun.errors import UserError, did_you_mean

OF = "~"  # the config generator/NAME~SET puts that generator in the place of the one of network=SET
REMOVAL = "~removal"  # and generator/NAME~SET~removal removes that of the set before
SHARED = re.compile(r"\$\{network\.([\w.]+)\}")


LOADED: dict[tuple, bytes] = {}  # pickled configs of this process; copying them takes longer


@dataclass
class PartDefault(GroupDefault):
    """An entry of a defaults list that chooses a part, after `/network: NAME` in the same list.

    Hydra resolves interpolations when the other entries are chosen: this one needs the choice of network=.
    """

    network: str = ""

    def is_interpolation(self) -> bool:
        return self.value is not None

    def resolve_interpolation(self, known_choices: DictConfig) -> None:
        self.network = str(known_choices.get("network"))

    def get_config_path(self) -> str:
        return f"{super().get_config_path()}{OF}{self.network}"


class PartsRepository(ConfigRepository):
    """Hydra's configs, and the parts of network sets as groups of their own.

    Where a config chooses network=, the parts follow; its own settings of networks come after them, as after the set.
    """

    def __init__(self, config_search_path: ConfigSearchPath):
        super().__init__(config_search_path)
        self.own: set[str] = set()  # groups that a user's config chooses itself, for a node of that name

    def load_config(self, config_path: str) -> ConfigResult | None:
        part, name, network = parse_path(config_path)
        if not network:
            result = self._load_file(config_path)
            check_package(config_path, result)
            return result and self._offer_parts(result)
        if config_path.endswith(REMOVAL):
            return make_result(config_path, "network", remove_part(read_set(self, network), part), [])
        if name == network:
            return make_result(config_path, "network", {}, [])
        removal, myself = ConfigDefault(path=f"/{config_path}{REMOVAL}"), ConfigDefault(path="_self_")
        if own := self._load_file(f"{part}/{name}"):
            package = own.header["package"] or f"network.{part}"
            return make_result(config_path, package, own.config, [removal, *(own.defaults_list or [])])
        if not self.config_exists(config_path):
            return None
        return make_result(config_path, f"network.{part}", read_part(self, name, part), [removal, myself])

    def config_exists(self, config_path: str) -> bool:
        part, name, network = parse_path(config_path)
        exists = super().config_exists
        return exists(f"{part}/{name}") or exists(f"network/{name}") if network else exists(config_path)

    def group_exists(self, config_path: str) -> bool:
        return config_path in NETWORK_PARTS or super().group_exists(config_path)

    def get_group_options(self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG) -> list[str]:
        names = super().get_group_options(group_name, results_filter)
        if group_name == "" and results_filter == ObjectType.GROUP:
            return sorted({*names, *NETWORK_PARTS})
        if group_name not in NETWORK_PARTS or results_filter == ObjectType.GROUP:
            return names
        sets = super().get_group_options("network", results_filter)
        return sorted({*names, *(name for name in sets if group_name in read_set(self, name))})

    def _load_file(self, config_path: str) -> ConfigResult | None:
        """Return a config; a file that has not changed since it was read in this process is not read again."""
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        numbers = numbers_of_file(Path(source.path, source._normalize_file_name(config_path))) if source else ()
        is_of_hydra = source is not None and source.scheme() == "pkg" and source.path.split(".")[0] == "hydra"
        if source is None or not (numbers or is_of_hydra):
            return super().load_config(config_path)
        version = (source.scheme(), source.provider, source.path, config_path, numbers)
        if version not in LOADED:
            LOADED[version] = pickle.dumps(super().load_config(config_path))
        return pickle.loads(LOADED[version])

    def _offer_parts(self, result: ConfigResult) -> ConfigResult:
        """Return a config in whose defaults list the parts follow `/network: NAME`, if it has that."""
        entries: list[Any] = [*(result.defaults_list or [])]
        chosen = [entry for entry in entries if isinstance(entry, GroupDefault) and not entry.override]
        self.own |= {group for entry in chosen if (group := str(entry.group).lstrip("/")) in NETWORK_PARTS}
        for entry in chosen:
            if (entry.group, entry.package) == ("/network", None) and entry.value is not None:
                place = entries.index(entry) + 1
                entries[place:place] = [PartDefault(group=f"/{part}") for part in NETWORK_PARTS if part not in self.own]
                result.defaults_list = entries
        return result


def check_package(config_path: str, result: ConfigResult | None) -> None:
    """Raise UserError for a file whose settings of the whole run would be ignored: Hydra puts them below a node."""
    group = config_path.partition("/")[0]
    if result is None or group not in ("experiment", "model") or result.header.get("package") == "_global_":
        return
    keys = [str(key) for key in result.config] if OmegaConf.is_dict(result.config) else []
    if lost := keys if group == "experiment" else [key for key in keys if key in ("model", "kimg", "batch_size")]:
        raise UserError(
            f"{config_path}.yaml sets {', '.join(lost)}, which would be {group}.{lost[0]} and have no effect. "
            "Its first line must be: # @package _global_"
        )


def numbers_of_file(path: Path) -> tuple[int, ...]:
    """Return numbers that change with a file; empty if it is no file, as in a zipped package."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def parse_path(config_path: str) -> tuple[str, str, str]:
    """Return part, NAME and SET of generator/NAME~SET and its like; empty texts for another path."""
    part, _, choice = config_path.removesuffix(REMOVAL).rpartition("/")
    name, is_part, network = choice.rpartition(OF)
    return (part, name, network) if part in NETWORK_PARTS and is_part else ("", "", "")


def make_result(path: str, package: str, content: Any, defaults: Sequence[InputDefault]) -> ConfigResult:
    return ConfigResult("ganrun", path, OmegaConf.create(content), {"package": package}, [*defaults])


def read_set(repository: ConfigRepository, name: str) -> dict[str, Any]:
    """Return the node `network` of conf/network/NAME.yaml and of what it inherits from, with interpolations."""
    cached = CachingConfigRepository(repository)
    defaults = create_defaults_list(cached, f"network/{name}", [], prepend_hydra=False, skip_missing=False).defaults
    config = OmegaConf.create()
    for default in defaults:
        result = cached.load_config(default.config_path or "")
        config.merge_with(result and ConfigLoaderImpl._embed_result_config(result, default.package).config)
    content: Any = OmegaConf.to_container(config)
    return content.get("network") or {}


def remove_part(network: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return what to merge into a set so that it lacks the part, and what refers to the part keeps its values."""
    others = [key for key in network if key not in NETWORK_PARTS[: NETWORK_PARTS.index(part) + 1]]
    values = {key: insert_shared(network[key], {part: network.get(part)}, "") for key in others}
    return {part: None} | {key: value for key, value in values.items() if value != network[key]}


def read_part(repository: ConfigRepository, name: str, part: str) -> dict[str, Any]:
    """Return the node of a part of a network set, which refers to no other node of it. UserError if it has none."""
    network = read_set(repository, name)
    if not isinstance(network.get(part), dict):
        hint = did_you_mean("", repository.get_group_options(part))
        raise UserError(f'Unknown {part} "{name}": the networks of network={name} have none.{hint}')
    return insert_shared(network[part], network, part)


def insert_shared(value: Any, network: Mapping[str, Any], part: str, depth: int = 1) -> Any:
    """Return a value of a part with the set's values in the places of ${network.KEY} and, at this depth, ${..KEY}.

    References to keys of the part, and to those that `network` lacks, stay.
    """
    if isinstance(value, dict):
        return {key: insert_shared(item, network, part, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [insert_shared(item, network, part, depth + 1) for item in value]
    if not isinstance(value, str):
        return value
    text = re.sub(rf"\$\{{\.{{{depth}}}(?=\w)", "${network.", value)
    if match := SHARED.fullmatch(text):
        return find_shared(match, network, part)
    return SHARED.sub(lambda match: str(find_shared(match, network, part)), text)


def find_shared(match: re.Match[str], network: Mapping[str, Any], part: str) -> Any:
    """Return the value to which ${network.KEY} refers, or the text itself: see `insert_shared`."""
    first, *rest = match[1].split(".")
    if first == part:
        return match[0]
    try:
        return insert_shared(reduce(lambda node, key: node[key], rest, network[first]), network, part)
    except (KeyError, TypeError):
        return match[0]


config_loader_impl.ConfigRepository = PartsRepository  # pyright: ignore[reportPrivateImportUsage]
