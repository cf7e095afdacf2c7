"""Batch size, and batches to a step."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.image_size import side_of

BYTES = 1200
"""Bytes of activations and gradients for each pixel of an image, with small_cnn and U-Net; about 4 times as many as
features at full size."""

SIZES = (32, 16, 8, 4, 2)
LEAST = 8
"""Images of a step, at least; with fewer, batch statistics are noise."""

STEPS = 16
"""Steps of an epoch, at least, where images are few."""


def batch_of(found: Fingerprint) -> tuple[int, int]:
    """Images of a batch, and batches of a step."""
    memory = found.machine.gpu_memory or found.machine.memory
    fits = [size for size in SIZES if size * BYTES * side_of(found) ** 2 <= memory / 2]
    most = max(fits or [SIZES[-1]])
    few = next((size for size in SIZES if found.train >= STEPS * size), LEAST)
    size = min(max(few, LEAST), most)
    return size, max(1, LEAST // size)


def choose(found: Fingerprint) -> Choice:
    """The batch size by memory and number of images."""
    size, steps = batch_of(found)
    memory = found.machine.gpu_memory or found.machine.memory
    why = f"{found.train} training images make {-(-found.train // size)} batches"
    values: dict[str, object] = {"loader.batch_size": size}
    if steps > 1:
        values["trainer.accumulate_grad_batches"] = steps
        why += f"; {memory / 1e9:.1f} GB free hold no more, so {steps} batches make a step"
    return Choice(why, values)


RULE = Rule(
    question="batch size",
    place=40,
    source="small batches generalise better (Masters and Luschi 2018); memory bounds them from above",
    range="2 to 32, at least 8 to a step",
    choose=choose,
)
