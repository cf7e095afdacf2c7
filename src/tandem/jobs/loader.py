"""The configurations of many jobs, without reading and merging the same files for each."""

import copy
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig

REMEMBERED = 200
"""How many configurations of jobs, and how many choices of files, are kept at most: up to 1 MiB each."""


class SweepLoader(ConfigLoaderImpl):
    """Hydra's loader for jobs that share files: each file is read once, and each choice of files merged once.

    That is most of the eighth of a second that Hydra takes for a configuration; which options a job has chosen, and its
    values, are found and checked by Hydra as always. A file that changes during a sweep counts as it was when a job
    first needed it.

    Args:
        search_path: where the files lie.
    """

    def __init__(self, search_path: ConfigSearchPath) -> None:
        super().__init__(search_path)
        self._read: dict[str, dict[str, ConfigResult | None]] = {}
        self._merged: dict[str, DictConfig] = {}
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The configuration of the job with these overrides, always the same object while it is kept.

        Hydra asks for it to find mistakes, and asks again to run the job.
        """
        key = tuple(sweep_overrides)
        config = self._composed.get(key)
        if config is None:
            config = super().load_sweep_config(master_config, sweep_overrides)
            if len(self._composed) < REMEMBERED:
                self._composed[key] = config
        return config

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed, files = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
        files.cache = self._read.setdefault(_places(files), files.cache)
        return parsed, files

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        key = f"{_places(repo)} {defaults}"
        merged = self._merged.get(key)
        if merged is None:
            merged = super()._compose_config_from_defaults_list(defaults, _Copies(repo))
            if len(self._merged) < REMEMBERED:
                self._merged[key] = merged
        return copy.deepcopy(merged)


class _Copies(CachingConfigRepository):
    """Copies of what was read, since merging changes it."""

    def __init__(self, files: IConfigRepository) -> None:
        self.files = files

    def load_config(self, config_path: str) -> ConfigResult | None:
        return copy.deepcopy(self.files.load_config(config_path))

    def get_schema_source(self) -> ConfigSource:
        return self.files.get_schema_source()


def _places(files: IConfigRepository) -> str:
    """Where files are looked for, which `hydra.searchpath` can change for a job."""
    places: list[Any] = files.get_sources()
    return " ".join(f"{place.scheme()}://{place.path}" for place in places)
