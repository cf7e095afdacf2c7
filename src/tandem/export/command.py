"""The command: traces the run, checks the result against PyTorch, and writes the file only if they agree."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.config.suggest import nearest
from tandem.decisions.asked import STORED, read_source
from tandem.decisions.wanted import check_threshold, read_threshold
from tandem.errors import ConfigError, DataError
from tandem.utils.lazy_imports import load_libraries

if TYPE_CHECKING:
    from torch import Tensor

    from tandem.export.formats import Ask
    from tandem.runs.inference import Inference
    from tandem.runs.restore import TrainedRun

log = logging.getLogger(__name__)


def main() -> None:
    """The command of `scripts/export.py`."""
    from tandem.cli import run_tool

    run_tool(export_job, "export")


def export_job(config: Mapping[str, Any]) -> None:
    """Exports a run and logs the path of the file.

    Args:
        config: the resolved configuration of `conf/export.yaml`.
    """
    from tandem.runs.chosen import one_run, run_folders
    from tandem.runs.ensemble_file import is_ensemble

    load_libraries()
    out = None if config["out"] is None else Path(config["out"]).expanduser()
    given = Path(config["run"]).expanduser()
    runs = run_folders(given) if is_ensemble(given) else (one_run(config["run"]),)
    if is_ensemble(given) and out is None:  # not into the cache
        out = given.with_suffix(_kind(config["format"]).suffix)
    file, difference = export_run(
        runs[0], config["format"], out, config["tolerance"], config["overwrite"],
        config.get("threshold", STORED), config.get("decide", STORED), runs[1:],
    )  # fmt: skip
    size = file.stat().st_size / 1e6
    log.info("%s: %.1f MB, largest difference from PyTorch %.1e", file, size, difference)


def export_run(
    folder: Path,
    format_name: str = "onnx",
    out: Path | None = None,
    tolerance: float = 1e-4,
    overwrite: bool = False,
    threshold: Any = STORED,
    decide: Any = STORED,
    others: Sequence[Path] = (),
) -> tuple[Path, float]:
    """Writes one file with preprocessing, network, probabilities, thresholded answers, and metadata.

    Args:
        folder: folder of a finished run.
        format_name: `onnx` or `torch`.
        out: the file; None: `export/model.onnx` or `export/model.pt2` in the run's folder.
        tolerance: largest allowed difference of a probability from PyTorch's.
        overwrite: whether to replace a file that this command did not write.
        threshold: as of `tandem-predict`.
        decide: as of `tandem-predict`; the file holds temperature and threshold.
        others: folders of further runs, whose probabilities are averaged with those of the first; threshold and
            decision are then those stored in the runs.

    Returns:
        The file, and the largest difference of a probability from PyTorch's.

    Raises:
        ConfigError: if the format is unknown, the folder is not a run folder, or a library is missing.
        DataError: if the network cannot be exported, or the result differs from PyTorch; no file is written.
    """
    from tandem.evaluate.decide import decide_run
    from tandem.export.mean import MeanInference
    from tandem.export.program import metadata, trace
    from tandem.network.lora import merge_lora
    from tandem.network.protocol import network_stride
    from tandem.runs.inference import Inference
    from tandem.runs.restore import restore
    from tandem.utils.files import write_whole
    from tandem.utils.outputs import check_file
    from tandem.utils.written import writing

    kind = _kind(format_name)
    wanted, asked = read_threshold(threshold), read_source(decide)
    check_threshold(wanted)
    if others and (threshold, decide) != (STORED, STORED):
        raise ConfigError("threshold and decide are for one run, but several are averaged here; leave them out")
    if not 0 < tolerance < math.inf:
        raise ConfigError(f"tolerance is {tolerance}, but must be above 0")
    file = check_file(out or folder / "export" / f"model{kind.suffix}")
    with writing(file.parent, "export", overwrite, file.name):
        run = restore(folder)
        runs = [run, *map(restore, others)]
        for one in runs:
            merge_lora(one.module)
        if others:
            for one in runs:
                check_plain(one)
            inference: Inference = MeanInference(runs)
        else:
            decide_run(run, wanted, asked)
            check_plain(run)
            inference = Inference(run.module.float(), run.levels)  # runtimes lack float64 for some operations
        stride = network_stride(run.module.network)
        size = int(run.config["data"].get("size") or 4 * stride)
        log.info("tracing %s of %s", ", ".join(run.module.tasks), folder)
        program, any_size = trace(inference, run.info.channels, size)
        properties = metadata(run, inference, any_size)
        content = kind.pack(program, inference.names, properties)
        sides = [(size, size), (2 * stride, 3 * stride)] if any_size else [(size, size)]
        difference = largest_difference(inference, kind.open(content), run.info.channels, sides)
        if not difference <= tolerance:
            raise DataError(
                f"{format_name} differs from PyTorch by up to {difference:.1e}, more than tolerance={tolerance:.0e}; "
                "no file was written"
            )
        write_whole(file, lambda place: place.write(content))
    return file, difference


def check_plain(run: "TrainedRun") -> None:
    """Raises if a mask is made by more than a threshold.

    Raises:
        ConfigError: by rankdice or post-processing, which are no operations of ONNX.
    """
    for name, task in run.module.tasks.items():
        if not task.decision.plain:
            raise ConfigError(
                f"task '{name}' is decided by {task.decision}, but an exported file holds temperature and threshold "
                "alone; add decide=threshold, or decide=temperature"
            )


def _kind(format_name: str) -> Any:
    """The format of a name.

    Raises:
        ConfigError: it is unknown, or a library is missing.
    """
    from tandem.export.formats import FORMATS

    if format_name not in FORMATS:
        raise ConfigError(f"format is '{format_name}': {nearest(format_name, list(FORMATS))}")
    return FORMATS[format_name]()


def largest_difference(inference: "Inference", ask: "Ask", channels: int, sides: Sequence[tuple[int, int]]) -> float:
    """Returns the largest difference of a probability from PyTorch, over batches of one and three images.

    The images are noise, ramps and grey with a faint noise: in a flat one, normalised maps of variance 0 are rounding
    errors alone, which differ by more than the tolerance between single and double precision of PyTorch itself. A
    different yes/no answer is a difference of 1, unless the probability lies as near to its threshold as the two
    probabilities lie to each other, or within 1e-5.

    Args:
        inference: the run in PyTorch.
        ask: the exported file as a function.
        channels: number of image channels.
        sides: heights and widths to try.
    """
    import torch

    worst = 0.0
    for height, width in sides:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randint(0, 256, (1, channels, height, width), dtype=torch.uint8, generator=generator)
        ramp = torch.linspace(0, 255, width).to(torch.uint8).expand(1, channels, height, width)
        images = torch.cat([noise, ramp, 127 + noise % 3])
        if inference.dtype != torch.uint8:
            black, white = (0.0, 1.0) if inference.levels is None else inference.levels.tolist()
            images = black + images.float() / 255 * (white - black)
        for batch in (images, images[:1].contiguous()):
            with torch.inference_mode():
                expected = dict(zip(inference.names, inference(batch), strict=True))
            found = dict(zip(inference.names, ask(batch), strict=True))
            worst = max(worst, *(_difference(name, expected, found, inference) for name in expected))
    return worst


def _difference(
    name: str, expected: "Mapping[str, Tensor]", found: "Mapping[str, Tensor]", inference: "Inference"
) -> float:
    here, there = expected[name], found[name]
    if here.shape != there.shape or here.dtype != there.dtype:
        return math.inf
    if not name.endswith("_answer"):
        away = float((here.double() - there.double()).abs().max())
        return math.inf if math.isnan(away) else away
    task = inference.module.tasks[name.removesuffix("_answer")]
    probabilities, theirs = (answers[name.replace("_answer", "_probabilities")] for answers in (expected, found))
    margin = (probabilities - task.threshold.view(1, -1, *[1] * (probabilities.ndim - 2))).abs()
    return float(((here != there) & (margin > (probabilities - theirs).abs() + 1e-5)).any())
