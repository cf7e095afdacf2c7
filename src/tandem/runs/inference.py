"""A trained network for inference: images in, probabilities and answers out."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from tandem.data.files.raster import Levels
from tandem.module import MultiTaskModule


class Inference(nn.Module):
    """Preprocessing, network, probabilities and thresholded answers in one module that returns one tensor per output.

    Shapes:
        image: (N, C, H, W) uint8, levels 0 to 255; or float32, the levels of files if there is one pair of `levels`,
            else in [0, 1].
        outputs, in the order of `names`: `<task>_probabilities`, (N, K) or (N, K, H, W) float32; for yes/no questions
            also `<task>_answer`, the same shape, uint8: 1 where the probability reaches the question's threshold.

    Args:
        module: a trained module; it is switched to evaluation mode and its weights are frozen.
        levels: pairs of black and white of a run that was trained on images of more than 8 bits.

    Attributes:
        dtype: what exported files take: float32 if there are such levels, else uint8.
    """

    levels: Tensor | None

    def __init__(self, module: MultiTaskModule, levels: Sequence[Levels] = ()) -> None:
        super().__init__()
        self.dtype = torch.float32 if levels else torch.uint8
        self.register_buffer("levels", torch.tensor(levels[0]) if len(levels) == 1 else None, persistent=False)
        self.module = module.eval().requires_grad_(False)
        self.names = tuple(name for name, _ in self._outputs())

    def _outputs(self) -> Iterator[tuple[str, str]]:
        for name, task in self.module.tasks.items():
            yield f"{name}_probabilities", name
            if task.target_kind.thresholds:
                yield f"{name}_answer", name

    def _unit(self, image: Tensor) -> Tensor:
        """Maps levels to [0, 1], as in training."""
        if not image.is_floating_point():
            return image.float() / 255
        if self.levels is None:
            return image
        black, white = self.levels[0], self.levels[1]
        return ((image - black) / (white - black)).clamp(0, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs in the order of `names`."""
        logits = self.module(self._unit(image))
        found: dict[str, Tensor] = {}
        for name, task in self.module.tasks.items():
            probabilities = task.tempered(logits[name].float())
            found[f"{name}_probabilities"] = probabilities
            if task.target_kind.thresholds:
                decided = task.target_kind.decide(probabilities, task.threshold)
                assert decided is not None, "a kind with thresholds decides"
                found[f"{name}_answer"] = decided.to(torch.uint8)
        return tuple(found[name] for name in self.names)
