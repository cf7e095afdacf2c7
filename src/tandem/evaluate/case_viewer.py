"""Single images, seen again: masks laid over them, and what a classification looked at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.errors import ConfigError
from tandem.evaluate.findings import Shown
from tandem.reports.panels import panel_row
from tandem.tasks.kinds.binary import reached

if TYPE_CHECKING:
    from tandem.data.samples import Samples
    from tandem.module import MultiTaskModule
    from tandem.reports.panels import RGBImage
    from tandem.tasks import Task

Picked = Sequence[tuple[int, str]]
"""Place in the split, and what is said below the picture."""

PANELS = "picture, true mask, predicted mask, error: green found, orange missed, red invented, grey without truth"


class CaseViewer:
    """Sees images of a split again, one at a time.

    Args:
        module: with the thresholds that were applied.
        samples: the split.
    """

    def __init__(self, module: "MultiTaskModule", samples: "Samples") -> None:
        self.module = module.eval()
        self.samples = samples
        self.device = next(module.parameters()).device

    def masks(self, task: "Task", channel: int, title: str, picked: Picked) -> Shown:
        """Picture, true mask, predicted mask and error of each image.

        Args:
            task: a binary, dense one.
            channel: of its masks.
            title: over the pictures.
            picked: which images.
        """
        pictures = []
        for place, said in picked:
            batch = self._batch(place)
            with torch.inference_mode():
                drawn = reached(self._probabilities(task, batch), task.threshold)[0, channel].cpu()
            target = task.read_target(batch)
            assert target is not None
            pictures.append((panel_row(batch["image"][0].cpu(), target[0, channel].cpu(), drawn), said))
        return Shown(title, PANELS, pictures)

    def class_masks(self, task: "Task", title: str, picked: Picked) -> Shown:
        """Picture, true classes, predicted classes and error of each image.

        Args:
            task: a multiclass, dense one.
            title: over the pictures.
            picked: which images.
        """
        from tandem.evaluate.report.overlays import class_row

        pictures = []
        for place, said in picked:
            batch = self._batch(place)
            with torch.inference_mode():
                drawn = self._probabilities(task, batch).argmax(1)[0].cpu()
            target = task.read_target(batch)
            assert target is not None
            pictures.append((class_row(batch["image"][0].cpu(), target[0].cpu(), drawn), said))
        return Shown(title, "picture, true classes, predicted classes, error: red wrong, grey without truth", pictures)

    def cams(self, task: "Task", picked: Sequence[tuple[int, int, str]]) -> Shown:
        """What speaks for an answer, beside the mask: Grad-CAM on the map that the head pools.

        The map is the positive part of `sum_k a_k A_k`, with A_k the channels of the backbone's deepest map and a_k
        the mean gradient of the answer's logit with respect to A_k; it is as coarse as that map.

        Source: Selvaraju et al., Grad-CAM, 2017; computed by captum.

        Args:
            task: about whole pictures.
            picked: place in the split, output that is asked about, and what is said below.
        """
        from tandem.evaluate.report.overlays import cam_row
        from tandem.utils.optional import load

        title = "Grad-CAM"
        layer = getattr(task.head, "pool", None)
        if layer is None:
            return Shown(title, "Not drawn: this head does not pool a map.", [])
        try:
            captum = load("captum.attr", "explain", "Grad-CAM")
        except ConfigError as error:
            return Shown(title, f"Not drawn: {error}", [])
        cam = captum.LayerGradCam(lambda image: task(self.module.network(image)), layer)
        pictures: list[tuple[RGBImage, str]] = []
        for place, output, said in picked:
            batch = self._batch(place)
            found = cam.attribute(
                batch["image"], target=output, attribute_to_layer_input=True, relu_attributions=True
            ).detach()
            heat = torch.nn.functional.interpolate(
                found.float(), batch["image"].shape[-2:], mode="bilinear", align_corners=False
            )[0, 0].cpu()
            mask = batch["mask"][0].cpu() if "mask" in batch else None
            pictures.append((cam_row(batch["image"][0].cpu(), mask, heat), said + _inside(heat, mask)))
        note = (
            "picture, true mask, what speaks for the answer (bright: more), with the mask's outline. "
            "The map is as coarse as the backbone's deepest one; it is dark where nothing speaks for the answer."
        )
        return Shown(title, note, pictures)

    def _batch(self, place: int) -> dict[str, Any]:
        batch = self.samples.take([place])
        return {key: value.to(self.device) if isinstance(value, Tensor) else value for key, value in batch.items()}

    def _probabilities(self, task: "Task", batch: dict[str, Any]) -> Tensor:
        return task.probabilities(task(self.module.network(batch["image"])).float())


def _inside(heat: Tensor, mask: Tensor | None) -> str:
    """How much of the map lies on the lesion (the energy-based pointing game of Wang et al., Score-CAM, 2020)."""
    if mask is None:
        return ""
    lesion = ((mask > 0) & (mask != MISSING_PIXEL)).any(0)
    if not lesion.any() or heat.sum() <= 0:
        return ""
    share, area = float(heat[lesion].sum() / heat.sum()), float(np.mean(lesion.numpy()))
    return f"; {share:.0%} of the map lies on the lesion, which is {area:.0%} of the picture"
