"""Composes the configuration of a run in Python, as the command line composes it."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from tandem.config.hydra_application import own_application
from tandem.config.hydra_section import hydra_guarded
from tandem.config.identity import run_hash
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.config.slots import own_modules_remembered
from tandem.config.suggest import explain
from tandem.errors import ConfigError, TandemError
from tandem.python.html import page, rows
from tandem.reports.page import details

if TYPE_CHECKING:
    from tandem.config.hydra_application import Application

PRIMARY = "train"


class Config(Mapping[str, Any]):
    """The checked configuration of one run; made by `tandem.compose`, used by `tandem.fit`.

    It reads as a dict: `config["optimizer"]["lr"]`. Values are copies; to change an option, compose again with another
    override, so that every run can be repeated from what was typed.

    Attributes:
        overrides: what was typed.
        config_dir: folder of the user's own options, or None.
        hash: names the run: twelve hex digits of every option that can change a number.
        folder: of the run, absolute; it exists once the run was started.
    """

    def __init__(
        self, plain: Mapping[str, Any], overrides: Sequence[str], folder: Path, config_dir: Path | None = None
    ) -> None:
        self._plain = plain
        self.overrides, self.config_dir, self.folder = tuple(overrides), config_dir, folder
        self.hash = run_hash(plain)

    def __getitem__(self, key: str) -> Any:
        return copy.deepcopy(self._plain[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)

    def __repr__(self) -> str:
        return f"<Config {self.hash}: {' '.join(self.overrides) or 'the defaults'}>"

    @property
    def yaml(self) -> str:
        """The whole configuration as YAML, every reference resolved."""
        return OmegaConf.to_yaml(OmegaConf.create(dict(self._plain)))

    def _repr_html_(self) -> str:
        facts = {"hash": self.hash, "folder": self.folder, "overrides": " ".join(self.overrides) or "none"}
        return page(f"{self['name']}: a configuration", rows(facts), details("all options", self.yaml))


def compose(overrides: Sequence[str] = (), config_dir: str | Path | None = None) -> Config:
    """Implements `tandem.compose`, its public name."""
    from tandem.train.run import check_config

    if isinstance(overrides, str):
        raise ConfigError(f"overrides are '{overrides}', but must be a list of texts such as ['seed=1', 'data=busi']")
    words = [str(word) for word in overrides]
    with application(config_dir) as hydra:
        composed = composed_run(hydra, words)
        folder = Path(str(composed.hydra.run.dir)).expanduser().absolute()
        plain = resolve(_without_hydra(composed))
    check_config(plain)
    return Config(plain, words, folder, None if config_dir is None else Path(config_dir).expanduser().absolute())


@contextmanager
def application(config_dir: str | Path | None) -> "Iterator[Application]":
    """Hydra as a command has it, with its checks; errors are raised in one line.

    Raises:
        ConfigError: the folder does not exist, or something cannot be composed.
    """
    further = [] if config_dir is None else [Path(config_dir).expanduser().absolute()]
    if missing := [folder for folder in further if not folder.is_dir()]:
        raise ConfigError(f"config_dir is '{config_dir}', but there is no folder {missing[0]}; give yours")
    with own_application(config_folder(), further) as hydra, hydra_guarded(), own_modules_remembered():
        register(PRIMARY)
        yield hydra


def composed_run(hydra: "Application", words: Sequence[str]) -> DictConfig:
    """The configuration of one run with Hydra's section, as the command line composes it.

    Raises:
        ConfigError: an override or a file is wrong, or they describe several runs.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    if flags := [word for word in words if word.startswith("-")]:
        raise ConfigError(f"'{flags[0]}' is a flag of the command line; give overrides only, such as 'seed=1'")
    with _in_one_line(words):
        parsed = OverridesParser.create().parse_overrides(list(words))
        swept = [str(one.input_line) for one in parsed if one.is_sweep_override()]
        config = hydra.compose_config(PRIMARY, [word for word in words if word not in swept], RunMode.RUN)
        if swept or config.hydra.mode == RunMode.MULTIRUN:
            raise ConfigError(
                f"these overrides describe several runs ({', '.join(swept) or 'a study'}), but one is composed here; "
                "type them with tandem-train, or compose each run"
            )
        _ = config.hydra.run.dir  # computes the hash, so that a wrong reference shows here
    return config


def tool_options(primary: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved options of another command, such as `evaluate`.

    Args:
        primary: name of its configuration.
        options: values by dotted key; the others have their defaults.

    Raises:
        ConfigError: an option is unknown, or has a value of another type.
    """
    from hydra.types import RunMode

    with application(None) as hydra, _in_one_line(primary=primary):
        composed = _without_hydra(hydra.compose_config(primary, [], RunMode.RUN))
        for key, value in options.items():
            OmegaConf.update(composed, key, value)
        return resolve(composed)


def _without_hydra(config: DictConfig) -> DictConfig:
    with open_dict(config):
        del config["hydra"]
    return config


@contextmanager
def _in_one_line(words: Sequence[str] = (), primary: str = PRIMARY) -> Iterator[None]:
    """Turns what Hydra raises into one line, as on the command line; an error of tandem may hide in a reference."""
    try:
        yield
    except TandemError:
        raise
    except Exception as error:  # errors of Hydra, OmegaConf and YAML have no common base
        raise ConfigError(explain(error, words, primary)) from error
