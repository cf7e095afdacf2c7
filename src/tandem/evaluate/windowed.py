"""Maps of whole files from windows of the network's size, where the split holds a square of each image alone."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tandem.data.files.images import read_raster
from tandem.data.files.placement import Placement
from tandem.data.files.raster import fit, to_unit
from tandem.errors import ConfigError
from tandem.runs.views import view_of
from tandem.runs.windows import cut, joined

if TYPE_CHECKING:
    from tandem.data.files.own_masks import FileMasks
    from tandem.data.samples import Samples
    from tandem.runs.restore import TrainedRun

ROWS = 16
"""Largest number of windows that the network sees at once."""


class WindowedMaps:
    """Answers about the pixels of a file as `predict` gives them with windows, in float32.

    Args:
        run: a finished run.
        samples: the images; their grey levels are those of the windows.
        overlap: of the windows, in [0, 1).

    Raises:
        ConfigError: the run has no task about pixels of masks.
    """

    def __init__(self, run: "TrainedRun", samples: "Samples", overlap: float) -> None:
        self.module = run.module
        if not any(task.target_kind.dense for task in self.module.tasks.values()):
            raise ConfigError("windows are for answers about pixels, but this run has none; leave windows out")
        self.view = view_of(run, {}, overlap)
        self.levels = {} if samples.levels is None else dict(zip(samples.ids, samples.levels, strict=True))

    @torch.inference_mode()
    def __call__(self, task: str, name: str, file: "FileMasks") -> tuple[Placement, Tensor] | None:
        """Where the image lies in its maps, and the maps (C, rows, columns); None if one window covers it.

        Args:
            task: name of the task.
            name: id of the image.
            file: its files.
        """
        place, windows = self.view.place(file.place.height, file.place.width), self.view.windows
        assert windows is not None, "made with an overlap"
        if max(place.cells) <= windows.side:
            return None
        pixels = fit(read_raster(file.image, self.view.options), self.view.size, self.view.channels, place.fit)
        device = next(self.module.parameters()).device
        tiles = cut(to_unit(torch.from_numpy(pixels)[None], self.levels.get(name))[0], windows)
        asked = self.module.tasks[task]
        maps = [asked.tempered(self.module(part.to(device))[task].float()).cpu() for part in torch.split(tiles, ROWS)]
        return place, joined(torch.cat(maps), place.cells, windows)
