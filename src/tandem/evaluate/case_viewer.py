"""Draws single cases of a split: predicted masks, and Grad-CAM maps of a classification."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.errors import ConfigError
from tandem.evaluate.findings import Shown
from tandem.reports.palette import ERRORS
from tandem.reports.panels import panel_row

if TYPE_CHECKING:
    from tandem.data.samples import Samples
    from tandem.module import MultiTaskModule
    from tandem.reports.panels import RGBImage
    from tandem.tasks import Task

Picked = Sequence[tuple[int, str]]
"""Index in the split, and the caption of the image."""

PANELS = f"Image, true mask, predicted mask, errors: {ERRORS}."


class CaseViewer:
    """Predicts and draws images of a split, one at a time.

    Args:
        module: the trained module, with the thresholds of this evaluation.
        samples: the images of the split.
    """

    def __init__(self, module: "MultiTaskModule", samples: "Samples") -> None:
        self.module = module.eval()
        self.samples = samples
        self.device = next(module.parameters()).device

    def masks(self, task: "Task", channel: int, title: str, picked: Picked) -> Shown:
        """Draws image, true mask, predicted mask and error map of each picked case.

        Args:
            task: a binary segmentation task.
            channel: channel of its masks.
            title: heading of the images.
            picked: which images, with their captions.
        """
        images = []
        for image, target, probabilities, caption in self._cases(task, picked):
            drawn = task.masks(probabilities)[0, channel].cpu()
            images.append((panel_row(image, target[channel], drawn), caption))
        return Shown(title, PANELS, images)

    def class_masks(self, task: "Task", title: str, picked: Picked) -> Shown:
        """Draws image, true classes, predicted classes and error map of each picked case.

        Args:
            task: a multiclass segmentation task.
            title: heading of the images.
            picked: which images, with their captions.
        """
        from tandem.decisions.stages import decided_classes
        from tandem.evaluate.report.overlays import class_row

        images = [
            (class_row(image, target, decided_classes(probabilities, task.decision)[0].cpu()), caption)
            for image, target, probabilities, caption in self._cases(task, picked)
        ]
        note = "image, true classes, predicted classes, errors (magenta: wrong, grey: no truth)"
        return Shown(title, note, images)

    def _cases(self, task: "Task", picked: Picked) -> Iterator[tuple[Tensor, Tensor, Tensor, str]]:
        """Yields image and target of each picked case, its probabilities with a batch axis, and its caption."""
        for place, caption in picked:
            batch = self._batch(place)
            with torch.inference_mode():
                probabilities = self._probabilities(task, batch)
            target = task.read_target(batch)
            assert target is not None
            yield batch["image"][0].cpu(), target[0].cpu(), probabilities, caption

    def cams(self, task: "Task", picked: Sequence[tuple[int, int, str]]) -> Shown:
        """Draws Grad-CAM maps of a prediction beside the mask, on the feature map that the head pools.

        The map is the positive part of `sum_k a_k A_k`. A_k are the channels of the backbone's deepest feature map,
        and a_k is the mean gradient of the output's logit with respect to A_k. The map has the resolution of that
        feature map.

        Source: Selvaraju et al., Grad-CAM, 2017; computed by captum.

        Args:
            task: a task about whole images.
            picked: index in the split, index of the output to explain, and caption.
        """
        from tandem.evaluate.report.overlays import cam_row
        from tandem.utils.optional import load

        title = "Grad-CAM"
        layer = getattr(task.head, "pool", None)
        if layer is None:
            return Shown(title, "Not drawn: the head of this task does not pool a feature map.", [])
        try:
            captum = load("captum.attr", "explain", "Grad-CAM")
        except ConfigError as error:
            return Shown(title, f"Not drawn: {error}", [])
        cam = captum.LayerGradCam(lambda image: task(self.module.network(image)), layer)
        images: list[tuple[RGBImage, str]] = []
        for place, output, caption in picked:
            batch = self._batch(place)
            found = cam.attribute(
                batch["image"], target=output, attribute_to_layer_input=True, relu_attributions=True
            ).detach()
            heat = torch.nn.functional.interpolate(
                found.float(), batch["image"].shape[-2:], mode="bilinear", align_corners=False
            )[0, 0].cpu()
            mask = batch["mask"][0].cpu() if "mask" in batch else None
            images.append((cam_row(batch["image"][0].cpu(), mask, heat), caption + _inside(heat, mask)))
        note = (
            "image, true mask, and evidence for the prediction (bright: strong) with the mask's outline. The map has "
            "the resolution of the backbone's deepest feature map; it is dark where nothing supports the prediction."
        )
        return Shown(title, note, images)

    def _batch(self, place: int) -> dict[str, Any]:
        batch = self.samples.take([place])
        return {key: value.to(self.device) if isinstance(value, Tensor) else value for key, value in batch.items()}

    def _probabilities(self, task: "Task", batch: dict[str, Any]) -> Tensor:
        return task.tempered(task(self.module.network(batch["image"])).float())


def _inside(heat: Tensor, mask: Tensor | None) -> str:
    """Share of the map that lies on the lesion (energy-based pointing game; Wang et al., Score-CAM, 2020)."""
    if mask is None:
        return ""
    lesion = ((mask > 0) & (mask != MISSING_PIXEL)).any(0)
    if not lesion.any() or heat.sum() <= 0:
        return ""
    share, area = float(heat[lesion].sum() / heat.sum()), float(np.mean(lesion.numpy()))
    return f"; {share:.0%} of the map lies on the lesion, which is {area:.0%} of the image"
