"""Shows the gradient of a loss and which pixels it comes from: a page, a figure and tables."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tandem.config.resolve import resolve
from tandem.config.suggest import explain
from tandem.config.typed import HELP
from tandem.errors import ConfigError
from tandem.explain_loss.settings import Setting, Typed, of_loss, read_settings


def main() -> None:
    """The command of `scripts/explain_loss.py`."""
    from tandem.cli import run

    typed = read_settings(sys.argv[1:])
    # Hydra reads the command line itself; it gets the first setting of the loss, and the job composes the others
    if not HELP & set(sys.argv[1:]):
        sys.argv[1:] = typed.arguments
    run(partial(explain_job, typed=typed), "explain_loss")


def explain_job(config: DictConfig, folder: Path, typed: Typed) -> None:
    """Builds each setting of the loss, computes curves and gradient shares, and writes and prints them.

    Args:
        config: the composed configuration, with the first setting.
        folder: where the files go.
        typed: the parsed command line, with all settings.

    Raises:
        ConfigError: there is no loss, losses of two kinds, a loss without probabilities, or an invalid option.
        DataError: the data cannot be read, or no mask has a lesion.
    """
    plain = resolve(config)
    _check_choice(plain["loss"])
    _check_numbers(plain)
    nodes = _compose(plain["loss"], typed.settings)
    from tandem.explain_loss.explanation import explain_losses
    from tandem.explain_loss.tables import print_explanation
    from tandem.explain_loss.writer import PAGE, write_explanation
    from tandem.utils.written import writing

    with writing(folder, "explain_loss", plain["overwrite"], PAGE):
        explanation = explain_losses(typed.title, nodes, plain)
        print_explanation(explanation, write_explanation(explanation, folder))


def _check_choice(loss: Any) -> None:
    from hydra.core.hydra_config import HydraConfig

    choices = HydraConfig.get().runtime.choices
    chosen = [place for place in choices if place.endswith("@loss") and choices[place] is not None]
    typed = [f"{place.removesuffix('@loss')}={choices[place]}" for place in chosen]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(typed)} are losses of two kinds; choose losses of one kind")
    if not isinstance(loss, Mapping):
        raise ConfigError("no loss is chosen; set loss/binary=bce,focal (or another kind; --help lists the losses)")


def _check_numbers(config: Mapping[str, Any]) -> None:
    synthetic = {f"half_trained.{key}": value for key, value in config["half_trained"].items()}
    least = {"masks": 1, "batch_size": 1, "epoch": 0, "border": 0, **dict.fromkeys(synthetic, 0)}
    for key, value in ({**config, **synthetic}).items():
        if key in least and not least[key] <= value < 2**32:  # nan and inf too
            raise ConfigError(f"{key} is {value}, but must be at least {least[key]} and below 2^32")
    if not 0 < config["hard"] <= 1:
        raise ConfigError(f"hard is {config['hard']}, but must be above 0 and at most 1")


def _compose(first: Mapping[str, Any], settings: Sequence[Setting]) -> dict[str, Any]:
    """Composes the loss of each setting as plain containers, by label; Hydra has already composed the first one."""
    from hydra import compose
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    others = [override for override in hydra.overrides.task if not of_loss(override)]
    nodes = {settings[0].label: dict(first)}
    for setting in settings[1:]:
        try:
            nodes[setting.label] = resolve(compose(hydra.job.config_name, [*others, *setting.overrides]))["loss"]
        except ConfigError as error:
            raise ConfigError(f"with {setting.label}: {error}") from error
        except Exception as error:  # Hydra raises many types if a configuration does not compose
            raise ConfigError(f"with {setting.label}: {explain(error)}") from error
    return nodes
