"""The configurations of many jobs, without composing each from its files."""

import copy
from collections.abc import Sequence

from omegaconf import DictConfig


class Composer:
    """Composes jobs as Hydra does: options of groups first, then single values; each choice of options only once.

    A configuration takes Hydra a quarter of a second; jobs that differ in values alone (seeds, folds, knobs) share most
    of that. To be called where Hydra has been given a folder (`initialize_config_dir`).

    Args:
        search: overrides that every job has, such as further folders of configurations.
    """

    def __init__(self, search: Sequence[str]) -> None:
        self.search = tuple(search)
        self.bases: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of a job, with Hydra's own part.

        Args:
            overrides: of the job, without sweeps.

        Raises:
            Exception: what Hydra and OmegaConf raise of an override that cannot be applied.
        """
        from hydra import compose
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from hydra.core.override_parser.overrides_parser import OverridesParser

        parsed = OverridesParser.create().parse_overrides(list(overrides))
        values = [one for one in parsed if not one.is_delete() and _is_value(one.key_or_group, one.package)]
        options = tuple(word for word, one in zip(overrides, parsed, strict=True) if one not in values)
        if options not in self.bases:
            self.bases[options] = compose("train", [*options, *self.search], return_hydra_config=True)
        config = copy.deepcopy(self.bases[options])
        ConfigLoaderImpl._apply_overrides_to_config(values, config)  # as `compose` does once the files are merged
        return config


def _is_value(key: str, package: str | None) -> bool:
    """Whether an override cannot be the choice of an option: a dotted key, or the seed; others may be one."""
    return package is None and not key.startswith("hydra") and ("." in key or key == "seed") and "/" not in key
