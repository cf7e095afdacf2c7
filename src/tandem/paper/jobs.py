"""Which runs a paper consists of: its studies, spread out and composed as a sweep would, without running anything."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tandem.config.hydra_section import check_words
from tandem.config.resolve import register, resolve, run_hash
from tandem.config.shipped import config_folder
from tandem.config.suggest import explain, nearest
from tandem.errors import ConfigError
from tandem.paper.compose import Composer
from tandem.paper.plan import Paper
from tandem.study.swept_params import show_value

log = logging.getLogger(__name__)

MARK = re.compile(r"%data\.(\w+)%")
"""Where an override wants a setting of the data that differs from reader to reader."""

MANY = 100
"""Of more jobs it is said that reading them takes a while."""


@dataclass(frozen=True)
class PaperJob:
    """One run of a paper, done or not.

    Attributes:
        study: name of its study.
        overrides: what is typed for it alone, not yet `filled`.
        choices: option of each config group.
        place: `<name>/<hash>`, its folder below `runs`.
    """

    study: str
    overrides: tuple[str, ...]
    choices: Mapping[str, str] = field(compare=False)
    place: str

    @property
    def hash(self) -> str:
        """Identity of the run."""
        return self.place.rpartition("/")[2]

    def setting(self, key: str) -> str | None:
        """What was typed or chosen for a key; None where it was neither.

        Args:
            key: of an override, or a config group.
        """
        typed = dict(word.lstrip("+~").partition("=")[::2] for word in self.overrides)
        return typed.get(key, self.choices.get(key))


def study_words(paper: Paper, study: str, budget: str) -> list[str]:
    """The overrides of a study's sweep, with `%data.root%` and the like where a reader puts what is theirs.

    Args:
        paper: with its budgets.
        study: name of it.
        budget: name of it.
    """
    return [*paper.studies[study], *paper.budgets[budget].overrides]


def filled(words: Iterable[str], data: Mapping[str, Any]) -> list[str]:
    """Overrides with what was typed in the place of `%data.<key>%`, in quotes.

    Args:
        words: of a study or a job.
        data: value by key.

    Raises:
        ConfigError: a setting of the data that is needed was not given, or an override that a paper may not have.

    Example:
        >>> filled(["seed=0", "data.root=%data.root%"], {"root": "/my data"})
        ['seed=0', "data.root='/my data'"]
    """

    def value(mark: re.Match[str]) -> str:
        if (given := data.get(mark[1])) is None:
            raise ConfigError(f"the paper's studies need data.{mark[1]}; give it, for instance data.{mark[1]}=PATH")
        return quoted(str(Path(str(given)).expanduser()))

    found = [MARK.sub(value, word) for word in words]
    check_words(found, "the paper")
    return found


def check_files(data: Mapping[str, Any]) -> None:
    """Looks for what was typed before the first of many runs does.

    Args:
        data: path by key; None where none was given.

    Raises:
        ConfigError: nothing lies there.
    """
    for key, given in data.items():
        if given is not None and not Path(str(given)).expanduser().exists():
            raise ConfigError(f"data.{key} is '{given}', but nothing lies there; give the path of yours")


def quoted(text: str) -> str:
    """Text as a value of an override, in quotes where something in it would mean something else."""
    if re.fullmatch(r"[\w./-]+", text, re.ASCII):
        return text
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def find_jobs(paper: Paper, budget: str, data: Mapping[str, Any], folders: Sequence[str] = ()) -> list[PaperJob]:
    """Every run of a paper, each once, in the order of the studies.

    Args:
        paper: with its studies.
        budget: name of it.
        data: as of `filled`.
        folders: further ones with configurations (`--config-dir`).

    Raises:
        ConfigError: a study that cannot be composed.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    for study in paper.studies:  # before the first one is composed, which may take a while
        filled(study_words(paper, study, budget), data)
    register()
    GlobalHydra.instance().clear()  # this may be called inside of a Hydra application, which has done its part
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        search = [f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in folders)}]"] if folders else []
        found: dict[str, PaperJob] = {}
        for study in paper.studies:
            try:
                for job in _jobs(study, study_words(paper, study, budget), data, search):
                    found.setdefault(job.place, job)
            except ConfigError:
                raise
            except Exception as error:  # of Hydra and OmegaConf, which have no common base
                raise ConfigError(f"paper.studies.{study}: {explain(error)}") from error
    return list(found.values())


def expanded(words: Sequence[str], data: Mapping[str, Any], search: Sequence[str] = ()) -> list[list[str]]:
    """The overrides of each job of a sweep, as Hydra's own sweeper makes them; to be called where Hydra has a folder.

    Args:
        words: overrides of the sweep; a `study` among them brings its own.
        data: as of `filled`.
        search: an override that names further folders of configurations.
    """
    from hydra import compose
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    plain = [word for word in words if not parser.parse_overrides([word])[0].is_sweep_override()]
    whole = compose("train", [*filled(plain, data), *search], return_hydra_config=True)
    params = [f"{key}={value}" for key, value in (whole.hydra.sweeper.get("params") or {}).items()]
    (batch,) = BasicSweeper.split_arguments(parser.parse_overrides([*params, *words]), None)
    return batch


def _jobs(study: str, words: Sequence[str], data: Mapping[str, Any], search: Sequence[str]) -> Iterator[PaperJob]:
    from omegaconf import OmegaConf

    batch = expanded(words, data, search)
    if len(batch) > MANY:
        log.info("study %s: reading the settings of %d runs", study, len(batch))
    composed = Composer(search)
    for overrides in batch:
        config = composed(filled(overrides, data))
        choices = {str(key): show_value(_plain(value)) for key, value in config.hydra.runtime.choices.items()}
        bare = resolve(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
        yield PaperJob(study, tuple(overrides), choices, f"{bare['name']}/{run_hash(bare)}")


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) or type(value).__name__ == "ListConfig" else value


def chosen(jobs: Sequence[PaperJob], wanted: Mapping[str, Any], where: str) -> list[PaperJob]:
    """The jobs that have some settings.

    Args:
        jobs: of a paper.
        wanted: value by key, as typed or chosen.
        where: dotted key of the row, for messages.

    Raises:
        ConfigError: a key that no job has, or values that none has.
    """
    left = list(jobs)
    for key, value in wanted.items():
        there = {setting for job in jobs if (setting := job.setting(key)) is not None}
        if not there:
            known = {key for job in jobs for key in (*job.choices, *(word.partition("=")[0] for word in job.overrides))}
            raise ConfigError(f"{where}: no run has the key '{key}': {nearest(key, known)}")
        if show_value(value) not in there:
            raise ConfigError(f"{where}: no run has {key}={show_value(value)}: {nearest(show_value(value), there)}")
        left = [job for job in left if job.setting(key) == show_value(value)]
    if not left:
        raise ConfigError(f"{where}: no run has all of {', '.join(f'{k}={show_value(v)}' for k, v in wanted.items())}")
    return left
