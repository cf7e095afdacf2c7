"""A trained network for inference: images in, probabilities and answers out."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tandem.module import MultiTaskModule


class Inference(nn.Module):
    """Preprocessing, network, probabilities and thresholded answers in one module that returns one tensor per output.

    Shapes:
        image: (N, C, H, W) uint8, grey values 0 to 255.
        outputs, in the order of `names`: `<task>_probabilities`, (N, K) or (N, K, H, W) float32; for yes/no questions
            also `<task>_answer`, the same shape, uint8: 1 where the probability reaches the question's threshold.

    Args:
        module: a trained module; it is switched to evaluation mode and its weights are frozen.
    """

    def __init__(self, module: MultiTaskModule) -> None:
        super().__init__()
        self.module = module.eval().requires_grad_(False)
        self.names = tuple(name for name, _ in self._outputs())

    def _outputs(self) -> Iterator[tuple[str, str]]:
        for name, task in self.module.tasks.items():
            yield f"{name}_probabilities", name
            if task.target_kind.thresholds:
                yield f"{name}_answer", name

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs in the order of `names`."""
        logits = self.module(image.float() / 255)
        found: dict[str, Tensor] = {}
        for name, task in self.module.tasks.items():
            probabilities = task.probabilities(logits[name].float())
            found[f"{name}_probabilities"] = probabilities
            if task.target_kind.thresholds:
                decided = task.target_kind.decide(probabilities, task.threshold)
                assert decided is not None, "a kind with thresholds decides"
                found[f"{name}_answer"] = decided.to(torch.uint8)
        return tuple(found[name] for name in self.names)
