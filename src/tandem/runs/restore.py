"""Restores the trained module from a run's folder, without its data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import nan
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from tandem.errors import ConfigError, DataError
from tandem.runs.folders import NO_RUN, state_of
from tandem.utils.artifacts import BEST, DATA, RESULTS, SCHEMA_KEY, check_schema
from tandem.utils.digests import check_intact, read_artifact
from tandem.utils.files import check_regular

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tandem.data.datamodule import DataInfo
    from tandem.data.files.raster import Levels
    from tandem.module import MultiTaskModule
    from tandem.runs.decisions import Decisions


DATA_KEY = "DataModule"
"""Where Lightning keeps the state of the data module in a checkpoint."""

NO_WEIGHTS = {"pretrained": False, "weights": None, "weights_part": "encoder", "cache_features": False}
"""Options of a network whose weights come from the checkpoint of its run alone, and that sees each image once."""


@dataclass(frozen=True)
class TrainedRun:
    """A restored finished run.

    Attributes:
        folder: its folder.
        config: its resolved configuration.
        results: content of its `results.json`.
        info: description of its training data.
        levels: pairs of black and white of training images of more than 8 bits; empty if there were none.
        module: with the best checkpoint's weights, thresholds and decisions, in evaluation mode, on the CPU.
        decisions: those of the checkpoint, by task; empty if the run fitted none.
        swept: the checkpoint's thresholds before its decisions, by task.
    """

    folder: Path
    config: Mapping[str, Any]
    results: Mapping[str, Any]
    info: "DataInfo"
    module: "MultiTaskModule"
    levels: "tuple[Levels, ...]" = ()
    decisions: "Decisions" = field(default_factory=dict)
    swept: "Mapping[str, Tensor]" = field(default_factory=dict)


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
    from tandem.runs.decisions import KEY, decide_by, read_decisions

    folder = Path(folder)
    results = read_results(folder)
    if not (folder / BEST).exists() and not (folder / DATA).exists():
        raise ConfigError(
            f"run={folder} has results, but neither weights ({BEST}) nor {DATA}, as in a paper's archive; use the "
            "folder in which it was trained, or train it again (reproduce.py archive=... rerun=true)"
        )
    config = results["config"]
    _check_data(config.get("data"), folder / RESULTS)
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
    try:
        checkpoint = torch.load(file, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{file} is cut or damaged ({reason}); copy it again, or train the run again") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "epoch"} <= checkpoint.keys():
        raise DataError(f"{file} is no checkpoint of a run; copy it again, or train the run again")
    check_schema(checkpoint.get(SCHEMA_KEY), file)
    if _is_double(module, checkpoint["state_dict"]):
        module.double().register_forward_pre_hook(_in_its_precision)
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise DataError(f"{file} does not fit the network of {folder / RESULTS}: {first}") from error
    module.begin_epoch(checkpoint["epoch"])
    swept = {name: task.threshold.clone() for name, task in module.tasks.items()}
    decisions = read_decisions(checkpoint.get(KEY), module, str(file))
    decide_by(module, decisions, swept)
    levels = _levels(checkpoint.get(DATA_KEY), file)
    return TrainedRun(folder, config, results, info, module.eval(), levels, decisions, swept)


def _levels(state: Any, file: Path) -> "tuple[Levels, ...]":
    """Reads the levels of black and white that the data module put into a checkpoint."""
    pairs = state.get("levels", []) if isinstance(state, dict) else []
    try:
        found = tuple((float(black), float(white)) for black, white in pairs)
    except (TypeError, ValueError):
        found = ((nan, nan),)
    if not all(black < white for black, white in found):
        raise DataError(f"{file} holds levels of black and white that are no pairs in order ({pairs}); train again")
    return found


def _check_data(data: object, file: Path) -> None:
    """Raises if the options of the data, or of one of several sources, are not options; nothing else checks them."""
    sources = data.get("sources") or {} if isinstance(data, dict) else {}
    if (
        not isinstance(data, dict)
        or not isinstance(sources, dict)
        or not all(isinstance(source, dict) for source in sources.values())
    ):
        raise DataError(
            f"{file} holds no options of the data; the file is damaged: copy it again, or train the run again"
        )


def read_results(folder: Path) -> dict[str, Any]:
    """Reads the `results.json` of a finished run.

    Args:
        folder: the run's folder.

    Raises:
        ConfigError: the folder is not a run folder, or the run has not finished.
        DataError: the file was written by a later tandem.
    """
    if (folder / RESULTS).is_file():
        results: dict[str, Any] = read_artifact(folder / RESULTS)
        if not isinstance(results, dict) or not isinstance(results.get("config"), dict):
            raise DataError(f"{folder / RESULTS} holds no configuration; the file is damaged, or no result of a run")
        check_schema(results.get("schema"), folder / RESULTS)
        return results
    if not folder.exists():
        raise ConfigError(f"run={folder}: there is no such folder; give the folder that training printed")
    if not folder.is_dir():
        raise ConfigError(f"run={folder} is a file; give the folder that training printed")
    found = state_of(folder)
    if found.state != NO_RUN:
        raise ConfigError(
            f"run={folder} has not finished ({RESULTS} is missing; {found}); rerun its training command to resume it"
        )
    inside = sorted(str(path.parent) for path in folder.glob(f"*/{RESULTS}"))
    what = f", but {found.reason}" if found.reason and not inside else ""
    hint = f"; it contains runs, such as {inside[0]}" if inside else "; give the folder that training printed"
    raise ConfigError(f"run={folder} is not a run folder ({RESULTS} is missing){what}{hint}")


def read_info(folder: Path) -> "DataInfo":
    """Reads the description of a run's training data.

    Args:
        folder: the run's folder.

    Raises:
        DataError: the file is missing, or another version of tandem wrote it.
    """
    from tandem.data.datamodule import DataInfo

    file = folder / DATA
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
