"""metrics=: the command's choice counts first, then the experiment's, the model's, that of the data, the default."""

from hydra._internal import defaults_list
from hydra._internal.defaults_list import Overrides
from hydra.core.default_element import GroupDefault


class RankedOverrides(Overrides):
    """The choices by which one config overrides another's.

    Hydra takes the first, and reads conf/train.yaml from its end: the data, with the scores that fit it, before the
    model. A model that chooses its scores needs these.
    """

    def add_override(self, parent_config_path: str, default: GroupDefault) -> None:
        key = default.get_override_key()
        earlier = self.override_metadata.get(key)
        is_of_data = earlier and (earlier.containing_config_path or "").startswith("data/")
        if key == "metrics" and is_of_data and not parent_config_path.startswith("data/"):
            del self.override_choices[key]
        super().add_override(parent_config_path, default)


defaults_list.Overrides = RankedOverrides  # pyright: ignore[reportPrivateImportUsage]
