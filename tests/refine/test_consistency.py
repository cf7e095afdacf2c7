"""Class and mask are made to agree, whatever they were."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.config.instantiate import build
from tandem.errors import ConfigError
from tandem.refine import Consistency

CLASSES = ["benign", "normal", "malignant"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=12))
def test_the_two_rules_one_image_at_a_time(images: list[tuple[int, bool]]) -> None:
    classes = torch.nn.functional.one_hot(torch.tensor([c for c, _ in images]), 3).float()
    masks = torch.tensor([[0.2, 0.7 if drawn else 0.1] for _, drawn in images]).view(-1, 1, 1, 2)
    answer, drawn = Consistency("normal")(classes, masks, 0.5, CLASSES)
    for (c, some), a, d in zip(images, answer.tolist(), drawn.flatten(1).any(1).tolist(), strict=True):
        if CLASSES[c] == "normal":
            assert (a, d) == (c, False), "a class 'normal' empties the mask"
        elif some:
            assert (a, d) == (c, True), "nothing contradicts"
        else:
            assert (CLASSES[a], d) == ("normal", False), "an empty mask means 'normal'"


def test_twice_is_once_and_a_probability_at_the_threshold_is_drawn() -> None:
    masks = torch.tensor([0.5, 0.4999]).view(2, 1, 1, 1)
    classes = torch.tensor([[0.9, 0.1, 0.0]] * 2)
    answer, drawn = Consistency()(classes, masks, 0.5, CLASSES)
    assert (answer.tolist(), drawn.flatten().tolist()) == ([0, 1], [True, False])
    again = Consistency()(torch.nn.functional.one_hot(answer, 3).float(), drawn.float(), 0.5, CLASSES)
    assert torch.equal(again[0], answer)
    assert torch.equal(again[1], drawn)


def test_a_class_that_is_not_there_is_refused_and_a_yaml_makes_it() -> None:
    refine = build({"_target_": "tandem.refine.Consistency", "normal": "norml"}, "paper.refine")
    with pytest.raises(ConfigError, match=r"refine\.normal is 'norml', but must be a class: did you mean 'normal'"):
        refine(torch.zeros(1, 3), torch.zeros(1, 1, 1, 1), 0.5, CLASSES)
