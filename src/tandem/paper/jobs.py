"""The runs of a paper: expands and composes its studies as a sweep would, without running them."""

import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.config.hydra_internals import JobComposer
from tandem.config.identity import run_hash
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.config.suggest import explain, nearest
from tandem.errors import ConfigError
from tandem.paper.plan import Paper
from tandem.study.swept_params import show_value

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

log = logging.getLogger(__name__)

MARK = re.compile(r"%data\.(\w+)%")
"""Placeholder in an override for a data option that each reader sets, such as a folder."""

MANY = 100
"""Log a line before more than this number of jobs is composed, which takes a while."""


@dataclass(frozen=True)
class PaperJob:
    """One run of a paper, finished or not.

    Attributes:
        study: name of its study.
        overrides: overrides of this run, with placeholders (see `filled`).
        choices: chosen option of each config group.
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
        """The value of a key, from an override or a config group; None if the key is in neither.

        Args:
            key: key of an override, or a config group.
        """
        typed = dict(word.lstrip("+~").partition("=")[::2] for word in self.overrides)
        return typed.get(key, self.choices.get(key))


def study_words(paper: Paper, study: str, budget: str) -> list[str]:
    """The overrides of a study's sweep, with placeholders such as `%data.root%`.

    Args:
        paper: the paper, with its studies and budgets.
        study: name of the study.
        budget: name of the budget.
    """
    return [*paper.studies[study], *paper.budgets[budget].overrides]


def filled(words: Iterable[str], data: Mapping[str, Any]) -> list[str]:
    """Replaces each placeholder `%data.<key>%` in overrides by its value, quoted.

    Args:
        words: overrides of a study or a job.
        data: value by key.

    Raises:
        ConfigError: a data option is required but not given.

    Example:
        >>> filled(["seed=0", "data.root=%data.root%"], {"root": "/my data"})
        ['seed=0', "data.root='/my data'"]
    """

    def value(mark: re.Match[str]) -> str:
        if (given := data.get(mark[1])) is None:
            raise ConfigError(f"the paper's studies need data.{mark[1]}; set data.{mark[1]}=PATH")
        return quoted(str(Path(str(given)).expanduser()))

    return [MARK.sub(value, word) for word in words]


def check_files(data: Mapping[str, Any]) -> None:
    """Checks that the paths of the data exist, before any run starts.

    Args:
        data: path by key; None if none was given.

    Raises:
        ConfigError: a path does not exist.
    """
    for key, given in data.items():
        if given is not None and not Path(str(given)).expanduser().exists():
            raise ConfigError(f"data.{key} is '{given}', which does not exist; give the path of your copy of the data")


def quoted(text: str) -> str:
    """Quotes text as the value of an override, if it has characters that Hydra's grammar would interpret."""
    if re.fullmatch(r"[\w./-]+", text, re.ASCII):
        return text
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def find_jobs(paper: Paper, budget: str, data: Mapping[str, Any], folders: Sequence[str] = ()) -> list[PaperJob]:
    """Finds every run of a paper, each once, in the order of the studies.

    Args:
        paper: the paper, with its studies.
        budget: name of the budget.
        data: values of the placeholders; see `filled`.
        folders: further folders with configurations (`--config-dir`).

    Raises:
        ConfigError: a study cannot be composed.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    for study in paper.studies:  # fail before the first study is composed, which may take a while
        filled(study_words(paper, study, budget), data)
    register()
    GlobalHydra.instance().clear()  # this may run inside a Hydra application, whose own composition is done
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        search = [f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in folders)}]"] if folders else []
        found: dict[str, PaperJob] = {}
        for study in paper.studies:
            try:
                for job in _jobs(study, study_words(paper, study, budget), data, search):
                    found.setdefault(job.place, job)
            except ConfigError:
                raise
            except Exception as error:  # errors of Hydra and OmegaConf have no common base
                raise ConfigError(f"paper.studies.{study}: {explain(error)}") from error
    return list(found.values())


def expanded(words: Sequence[str], data: Mapping[str, Any], search: Sequence[str] = ()) -> list[list[str]]:
    """Expands a sweep into the overrides of each job, as Hydra's basic sweeper does.

    Hydra must be initialised with a folder of configurations.

    Args:
        words: overrides of the sweep; a `study` among them adds its own.
        data: values of the placeholders; see `filled`.
        search: override of Hydra's search path with further folders of configurations.
    """
    from hydra import compose
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    plain = [word for word in words if not parser.parse_overrides([word])[0].is_sweep_override()]
    whole = compose("train", [*filled(plain, data), *search], return_hydra_config=True)
    params = [f"{key}={value}" for key, value in (whole.hydra.sweeper.get("params") or {}).items()]
    return _product(parser.parse_overrides([*params, *words]))


def _product(overrides: "Sequence[Override]") -> list[list[str]]:
    """Every combination of swept values, in the order of Hydra's basic sweeper."""
    values: dict[str, list[str]] = {}
    for one in overrides:
        if one.is_sweep_override() and not one.is_discrete_sweep():
            raise ConfigError(f"'{one.input_line}' has no list of values; give a list, or range(...)")
        key = one.get_key_element()
        texts = one.sweep_string_iterator() if one.is_sweep_override() else [one.get_value_element_as_str()]
        values[key] = [f"{key}={text}" for text in texts]
    return [list(combination) for combination in itertools.product(*values.values())]


def _jobs(study: str, words: Sequence[str], data: Mapping[str, Any], search: Sequence[str]) -> Iterator[PaperJob]:
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    batch = expanded(words, data, search)
    if len(batch) > MANY:
        log.info("study %s: composing the configurations of %d runs", study, len(batch))
    composer = JobComposer(GlobalHydra.instance().config_loader())
    for overrides in batch:
        typed = [*filled(overrides, data), *search]
        config = composer.load_configuration("train", typed, run_mode=RunMode.RUN, from_shell=False)
        choices = {str(key): show_value(_plain(value)) for key, value in config.hydra.runtime.choices.items()}
        bare = resolve(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
        yield PaperJob(study, tuple(overrides), choices, f"{bare['name']}/{run_hash(bare)}")


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) or type(value).__name__ == "ListConfig" else value


def chosen(jobs: Sequence[PaperJob], wanted: Mapping[str, Any], where: str) -> list[PaperJob]:
    """Selects jobs by their overrides and choices.

    Args:
        jobs: jobs of a paper.
        wanted: value by key, from overrides or config groups.
        where: dotted key of the row, for messages.

    Raises:
        ConfigError: no job has such a key, value or combination of values.
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
