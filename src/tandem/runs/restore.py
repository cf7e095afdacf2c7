"""Restores the trained module from a run's folder, without its data."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.errors import ConfigError, DataError
from tandem.utils.artifacts import BEST, RESULTS, SCHEMA_KEY, check_schema
from tandem.utils.digests import check_intact, read_artifact
from tandem.utils.files import check_regular

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tandem.data.datamodule import DataInfo
    from tandem.module import MultiTaskModule


NO_WEIGHTS = {"pretrained": False, "weights": None, "weights_part": "encoder"}
"""Options of a network whose weights come from the checkpoint of its run alone."""


@dataclass(frozen=True)
class TrainedRun:
    """A restored finished run.

    Attributes:
        folder: its folder.
        config: its resolved configuration.
        results: content of its `results.json`.
        info: description of its training data.
        module: with the best checkpoint's weights and thresholds, in evaluation mode, on the CPU.
    """

    folder: Path
    config: Mapping[str, Any]
    results: Mapping[str, Any]
    info: "DataInfo"
    module: "MultiTaskModule"


def restore(folder: str | Path) -> TrainedRun:
    """Restores a finished run from its folder; needs neither its data nor pretrained weights.

    Args:
        folder: a run's folder, as printed at its end.

    Raises:
        ConfigError: the folder is not a run folder, or the run has not finished.
        DataError: the files do not match.
    """
    import torch

    from tandem.factory import make_module

    folder = Path(folder)
    results = read_results(folder)
    config = results["config"]
    info = read_info(folder)
    try:
        module = make_module(_without_weights(config), info)
    except KeyError as error:
        raise DataError(f"{folder / RESULTS} lacks {error}: another version of tandem wrote it; train again") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{folder / RESULTS} holds no configuration that can be read ({error}); train again") from error
    file = folder / BEST
    check_regular(file)
    if not file.exists():
        raise ConfigError(f"{file} is missing, so this run cannot be restored; train it again")
    check_intact(file)
    checkpoint = torch.load(file, weights_only=True, map_location="cpu")
    check_schema(checkpoint.get(SCHEMA_KEY), file)
    if _is_double(module, checkpoint["state_dict"]):
        module.double().register_forward_pre_hook(_in_its_precision)
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise DataError(f"{file} does not fit the network of {folder / RESULTS}: {first}") from error
    module.begin_epoch(checkpoint["epoch"])
    return TrainedRun(folder, config, results, info, module.eval())


def read_results(folder: Path) -> dict[str, Any]:
    """Reads the `results.json` of a finished run.

    Args:
        folder: the run's folder.

    Raises:
        ConfigError: the folder is not a run folder, or the run has not finished.
        DataError: the file was written by a later tandem.
    """
    if (folder / RESULTS).is_file():
        found: dict[str, Any] = read_artifact(folder / RESULTS)
        if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
            raise DataError(f"{folder / RESULTS} holds no configuration; the file is damaged, or no result of a run")
        check_schema(found.get("schema"), folder / RESULTS)
        return found
    if not folder.is_dir():
        raise ConfigError(f"run={folder}: there is no such folder; give the folder that training printed")
    if (folder / "config.yaml").exists():
        raise ConfigError(
            f"run={folder} has not finished ({RESULTS} is missing); rerun its training command to resume it"
        )
    inside = sorted(str(path.parent) for path in folder.glob(f"*/{RESULTS}"))
    hint = f"; it contains runs, such as {inside[0]}" if inside else "; give the folder that training printed"
    raise ConfigError(f"run={folder} is not a run folder ({RESULTS} is missing){hint}")


def read_info(folder: Path) -> "DataInfo":
    """Reads the description of a run's training data.

    Args:
        folder: the run's folder.

    Raises:
        DataError: the file is missing, or another version of tandem wrote it.
    """
    from tandem.data.datamodule import DataInfo

    file = folder / "data.json"
    entries = read_artifact(file).get("info") if file.exists() else None
    known = {entry.name for entry in fields(DataInfo)}
    if not isinstance(entries, dict) or entries.keys() - known:
        raise DataError(f"{file} does not describe the data (another version of tandem?); train the run again")
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in entries.items()}
    return DataInfo(**values)


def _is_double(module: "MultiTaskModule", state: Mapping[str, Any]) -> bool:
    """Whether the weights are stored in float64 (`trainer.precision=64-true`), which float32 would round."""
    import torch

    return any(
        name in state and state[name].dtype == torch.float64 and value.dtype == torch.float32
        for name, value in module.named_parameters()
    )


def _in_its_precision(module: "nn.Module", given: "tuple[Tensor]") -> "tuple[Tensor]":
    """Images in the precision of the weights."""
    return (given[0].to(next(module.parameters()).dtype),)


def _without_weights(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration without pretrained weights to download, since the checkpoint has all weights."""
    network = {**config["network"]}
    network.update({key: empty for key, empty in NO_WEIGHTS.items() if key in network})
    return {**config, "network": network}
