"""Probabilities over mirrored copies: the mean of the four, also at a temperature, and nothing stays changed."""

import pytest
import torch
from hydra import compose, initialize_config_dir

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.batch import Batch
from tandem.decisions.decision import Decision
from tandem.errors import ConfigError
from tandem.factory import make_data, make_module
from tandem.module import MultiTaskModule
from tandem.runs.mirrored import mirrored


def made(*tasks: str) -> tuple[MultiTaskModule, Batch]:
    """A module that was not trained, and a batch."""
    register()
    words = ["experiment=tiny", f"task=[{','.join(tasks)}]", "data.train=12", "data.val=12", "data.test=12"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("train", words))
    torch.manual_seed(0)
    data = make_data(config)
    data.setup()
    module = make_module(config, data.info).eval()
    return module, data.splits["val"].take(range(6))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@torch.no_grad()
def test_they_are_the_means_of_four(temperature: float) -> None:
    module, batch = made("classification", "segmentation", "yes_no")
    for task in module.tasks.values():
        task.decide_by(Decision(temperature=temperature))
    image = batch["image"]
    copies = [image, image.flip(3), image.flip(2), image.flip(2).flip(3)]
    answers = [module(copy) for copy in copies]
    expected = {
        "classification": sum(torch.softmax(one["classification"] / temperature, 1) for one in answers) / 4,
        "yes_no": sum(torch.sigmoid(one["yes_no"] / temperature) for one in answers) / 4,
    }
    masks = [torch.sigmoid(one["segmentation"] / temperature) for one in answers]
    expected["segmentation"] = (masks[0] + masks[1].flip(3) + masks[2].flip(2) + masks[3].flip(3).flip(2)) / 4
    with mirrored(module):
        outputs = module.shared_step(batch, "val")
        assert module(image)["segmentation"].dtype == torch.float32
    for name, values in expected.items():
        torch.testing.assert_close(outputs[name].probabilities, values, rtol=1e-5, atol=1e-6)
    assert "forward" not in vars(module)
    torch.testing.assert_close(module(image)["segmentation"], answers[0]["segmentation"])


@pytest.mark.parametrize("sure", [200.0, -200.0])
@torch.no_grad()
def test_certain_answers_stay_finite(sure: float) -> None:
    module, batch = made("classification", "segmentation")
    plain = {name: torch.full_like(values, sure) for name, values in module(batch["image"]).items()}
    plain["classification"][:, 1:] = -sure
    module.forward = lambda image: plain  # type: ignore[method-assign]
    with mirrored(module):
        logits = module(batch["image"])
    assert all(values.isfinite().all() for values in logits.values())
    found, expected = torch.sigmoid(logits["segmentation"]), torch.sigmoid(plain["segmentation"])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-29)


def test_a_number_has_no_probability() -> None:
    module, _ = made("segmentation", "area")
    with pytest.raises(ConfigError, match="but task 'area' has none; leave flips=true out"), mirrored(module):
        pass
