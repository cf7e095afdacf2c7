import hashlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import OmegaConf
from skimage.filters import threshold_otsu
from skimage.measure import label as components
from skimage.measure import regionprops
from sklearn.metrics import balanced_accuracy_score

from tandem.data.loading.counter_rng import keys
from tandem.data.phantom import Phantom, PhantomParams, render
from tandem.data.phantom.lesion import lesions
from tandem.data.phantom.speckle import speckle
from tandem.data.phantom.tissue import attenuation
from tandem.data.source import Source
from tandem.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf" / "data" / "phantom.yaml"
NORMAL, BENIGN, MALIGNANT = range(3)

Bools = NDArray[np.bool_]
Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]


@pytest.fixture(scope="module")
def many() -> Arrays:
    """Images (N, H, W), masks (N, H, W) and labels (N,) of 900 images with the default params."""
    images, masks, labels = render(0, "train", range(900), PhantomParams())
    return images[:, 0], masks[:, 0], labels


def same(left: Arrays, right: Arrays) -> bool:
    return all(np.array_equal(left[k], right[k]) for k in range(3))


class TestPurity:
    def test_images_never_change(self) -> None:
        digest = hashlib.sha256()
        for size in (32, 64, 100):
            for array in render(0, "train", range(8), PhantomParams(size=size)):
                digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
        assert digest.hexdigest() == "7defb0cbd664cbadec5c359b2cab980dd81016836b461097f2ae8419d58c99a4"

    def test_an_image_does_not_depend_on_the_others(self) -> None:
        images, masks, labels = render(5, "val", range(40), PhantomParams())
        some = [33, 0, 7, 7]
        assert same(render(5, "val", some, PhantomParams()), (images[some], masks[some], labels[some]))

    def test_images_of_a_person_share_lesion_and_tissue_and_nothing_else(self) -> None:
        source = Phantom(size=32, train=9, images_each=3)
        alone, one = Phantom(size=32, train=3).load()["train"], source.load()["train"]
        assert one.groups == tuple(f"phantom/train/person {row // 3:06d}" for row in range(9))
        assert one.labels.tolist() == alone.labels.repeat_interleave(3).tolist()
        assert torch.equal(one.masks, alone.masks.repeat_interleave(3, 0))
        assert len({image.numpy().tobytes() for image in one.images}) == 9
        assert torch.equal(one.images[0], alone.images[0]), "the first image of the first person is the first of all"
        assert not alone.groups

    @pytest.mark.parametrize("chunk", [1, 7, 1000])
    def test_an_image_does_not_depend_on_the_chunk(self, chunk: int) -> None:
        assert same(
            render(5, "val", range(40), PhantomParams(), chunk=chunk), render(5, "val", range(40), PhantomParams())
        )

    def test_seed_split_and_index_all_matter(self) -> None:
        images = [
            render(seed, split, [index], PhantomParams())[0].tobytes()
            for seed in (0, 1)
            for split in ("train", "val")
            for index in (0, 1, 10**12)
        ]
        assert len(set(images)) == len(images)

    def test_a_larger_split_begins_with_the_smaller_one(self) -> None:
        few, more = Phantom(train=5, val=1, test=1).load(), Phantom(train=9, val=1, test=1).load()
        assert torch.equal(more["train"].images[:5], few["train"].images)

    def test_drawing_some_gives_the_rows_of_the_whole(self) -> None:
        phantom = Phantom(train=20, without_mask=0.5, without_label=0.5)
        whole, some = phantom.load()["train"], phantom.draw("train", [12, 3])
        assert torch.equal(some.images, whole.images[[12, 3]])
        assert torch.equal(some.masks, whole.masks[[12, 3]])
        assert torch.equal(some.labels, whole.labels[[12, 3]])
        assert some.ids == ("phantom/train/000012", "phantom/train/000003")

    def test_no_images_are_no_error(self) -> None:
        assert [len(array) for array in render(0, "train", [], PhantomParams())] == [0, 0, 0]

    def test_indices_below_zero_and_empty_chunks_are_refused(self) -> None:
        with pytest.raises(ValueError, match="an index is -1"):
            render(0, "train", [3, -1], PhantomParams())
        with pytest.raises(ValueError, match="chunk is 0"):
            render(0, "train", [3], PhantomParams(), chunk=0)


class TestSource:
    def test_is_a_source_with_three_splits(self) -> None:
        phantom: Source = Phantom(train=6, val=4, test=5, size=48)
        splits = phantom.load()
        assert (phantom.name, phantom.classes, phantom.channels) == ("phantom", ("normal", "benign", "malignant"), 1)
        assert {name: len(split) for name, split in splits.items()} == {"train": 6, "val": 4, "test": 5}
        assert splits["val"].images.shape == splits["val"].masks.shape == (4, 1, 48, 48)
        ids = [name for split in splits.values() for name in split.ids]
        assert len(set(ids)) == 15
        assert ids[0] == "phantom/train/000000"

    def test_the_yaml_names_every_option_with_its_default(self) -> None:
        config = OmegaConf.load(CONF)
        from_yaml, plain = instantiate(config), Phantom()
        assert isinstance(from_yaml, Phantom)
        assert vars(from_yaml) == vars(plain)
        assert {str(key) for key in config} == {"_target_", *inspect.signature(Phantom).parameters}

    def test_an_unknown_split_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="split is 'dev', but must be one of train, val, test"):
            Phantom().draw("dev", [0])


def dice(guess: Bools, mask: Bools) -> NDArray[np.float64]:
    """Dice of each image; masks are not empty."""
    axes = (-2, -1)
    result: NDArray[np.float64] = 2 * (guess & mask).sum(axes) / (guess.sum(axes) + mask.sum(axes))
    return result


def pooled_dice(guess: Bools, mask: Bools) -> float:
    return float(2 * (guess & mask).sum() / (guess.sum() + mask.sum()))


class TestNothingSimpleSolvesIt:
    def test_otsu_fails_on_either_side(self, many: Arrays) -> None:
        images, masks, labels = many
        ill, mask = labels != NORMAL, masks == 1
        cut = np.array([threshold_otsu(image) for image in images])[:, None, None]
        for guess in (images <= cut, images > cut):
            assert dice(guess[ill], mask[ill]).mean() < 0.5
            assert pooled_dice(guess[ill], mask[ill]) < 0.5
            assert pooled_dice(guess, mask) < 0.5

    def test_no_fixed_grey_threshold_works(self, many: Arrays) -> None:
        images, masks, labels = many
        ill = labels != NORMAL
        for cut in range(0, 256, 5):
            for guess in (images[ill] <= cut, images[ill] > cut):
                assert dice(guess, masks[ill] == 1).mean() < 0.5

    @pytest.mark.parametrize("answer", [NORMAL, BENIGN, MALIGNANT])
    def test_a_constant_answer_is_right_by_a_third(self, many: Arrays, answer: int) -> None:
        labels = many[2]
        assert balanced_accuracy_score(labels, np.full_like(labels, answer)) == pytest.approx(1 / 3)

    def test_mean_brightness_does_not_tell_the_classes_apart(self, many: Arrays) -> None:
        images, _, labels = many
        assert best_threshold(images.mean(axis=(1, 2)), labels) < 0.6

    def test_nor_do_area_and_brightness_of_the_lesion(self, many: Arrays) -> None:
        images, masks, labels = many
        ill = labels != NORMAL
        area = masks[ill].sum(axis=(1, 2))
        inside = (images[ill] * masks[ill].astype(np.float64)).sum(axis=(1, 2)) / area
        assert best_threshold(area.astype(np.float64), labels[ill]) < 0.6
        assert best_threshold(inside, labels[ill]) < 0.6


def best_threshold(feature: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The best balanced accuracy over all pairs of classes, thresholds and signs, on the data it is chosen on."""
    scores = [0.0]
    for one in np.unique(labels):
        for other in np.unique(labels[labels > one]):
            for cut in np.quantile(feature, np.linspace(0, 1, 101)):
                right = ((feature[labels == one] <= cut).mean() + (feature[labels == other] > cut).mean()) / 2
                scores.append(max(right, 1 - right))
    return max(scores)


class TestImages:
    def test_masks_fit_the_labels(self, many: Arrays) -> None:
        _, masks, labels = many
        assert set(np.unique(masks)) == {0, 1}
        assert np.array_equal(masks.any(axis=(1, 2)), labels != NORMAL)

    @pytest.mark.parametrize("area", [(0.01, 0.01), (0.05, 0.06), (0.2, 0.2)])
    def test_lesions_keep_to_their_area_and_to_the_image(self, area: tuple[float, float]) -> None:
        params = PhantomParams(lesion_area=area, class_probabilities=(0, 0.5, 0.5))
        _, masks, labels = render(0, "train", range(200), params)
        measured = masks.mean(axis=(1, 2, 3))
        assert set(labels) == {BENIGN, MALIGNANT}
        assert measured.min() > area[0] - 0.005
        assert measured.max() < area[1] + 0.005
        inner = masks[:, 0, 1:-1, 1:-1]
        assert inner.sum() == masks.sum()

    def test_areas_fill_their_range_in_both_classes(self, many: Arrays) -> None:
        _, masks, labels = many
        for kind in (BENIGN, MALIGNANT):
            area = masks[labels == kind].mean(axis=(1, 2))
            assert area.min() < 0.05
            assert area.max() > 0.14

    def test_benign_is_smooth_and_malignant_is_not(self, many: Arrays) -> None:
        _, masks, labels = many
        solidity = np.array([largest_part(mask).solidity for mask in masks[labels != NORMAL]])
        malignant = labels[labels != NORMAL] == MALIGNANT
        assert np.quantile(solidity[~malignant], 0.05) > np.quantile(solidity[malignant], 0.95)

    def test_malignant_is_taller_than_wide_more_often(self, many: Arrays) -> None:
        _, masks, labels = many
        taller = np.array(
            [np.ptp(np.nonzero(mask)[0]) > np.ptp(np.nonzero(mask)[1]) for mask in masks[labels != NORMAL]]
        )
        malignant = labels[labels != NORMAL] == MALIGNANT
        assert taller[~malignant].mean() < 0.1
        assert 0.3 < taller[malignant].mean() < 0.9

    def test_shadows_hang_below_malignant_lesions_more_often_but_not_always(self) -> None:
        kinds = np.arange(400) % 2 == 1
        drawn = lesions(keys(0, "test", np.arange(400)), kinds, 64, (0.05, 0.1), 0.8)
        below = (np.cumsum(drawn.masks, axis=1) > 0)[:, -1] & ~drawn.masks[:, -1]
        last = np.where(below, drawn.factor[:, -1], np.nan)
        left = np.nanmean(last, axis=1)
        assert 0.6 < (left[kinds] < 0.95).mean() < 0.8
        assert 0.1 < (left[~kinds] < 0.95).mean() < 0.3
        assert 0.4 < (left[~kinds] > 1.05).mean() < 0.6

    def test_speckle_is_rayleigh_with_mean_one(self) -> None:
        grain = speckle(keys(0, "test", np.arange(64)), 64)
        assert grain.mean() == pytest.approx(1, abs=0.01)
        assert grain.mean() / grain.std() == pytest.approx(1.91, abs=0.05)
        for level in (0.25, 0.5, 1.0, 1.5, 2.0, 2.5):
            assert (grain > level).mean() == pytest.approx(np.exp(-np.pi / 4 * level**2), abs=0.01)

    def test_less_comes_back_from_deeper(self) -> None:
        left = attenuation(keys(0, "test", np.arange(50)), 64)[:, :, 0]
        assert (np.diff(left, axis=1) < 0).all()
        assert ((left[:, -1] > 0.15) & (left[:, -1] < 0.65)).all()

    def test_layers_show(self, many: Arrays) -> None:
        images, _, labels = many
        rows = images[labels == NORMAL].mean(axis=(0, 2))
        skin, fat, gland, muscle = rows[1], rows[9], rows[28], rows[62]
        assert skin > gland > fat
        assert gland > muscle

    def test_class_probabilities_are_kept(self) -> None:
        labels = render(0, "train", range(300), PhantomParams(size=32, class_probabilities=(0.5, 0.5, 0.0)))[2]
        counts = np.bincount(labels, minlength=3)
        assert counts[MALIGNANT] == 0
        assert counts[NORMAL] == pytest.approx(150, abs=30)

    def test_contrast_darkens_lesions_and_keeps_their_masks(self) -> None:
        drawn = [render(0, "train", range(100), PhantomParams(contrast=contrast)) for contrast in (0.0, 0.4, 0.8)]
        grey = [images[masks == 1].mean() for images, masks, _ in drawn]
        assert grey[0] > grey[1] > grey[2]
        (images, masks, labels), _, (darker, same_masks, same_labels) = drawn
        assert np.array_equal(masks, same_masks)
        assert np.array_equal(labels, same_labels)
        assert np.array_equal(images[labels == NORMAL], darker[labels == NORMAL])

    def test_noise_roughens(self) -> None:
        rough = [
            np.abs(np.diff(render(0, "train", range(50), PhantomParams(noise=noise))[0].astype(np.float64))).mean()
            for noise in (0.0, 0.5, 1.0)
        ]
        assert 2 * rough[0] < rough[1] < rough[2]


def largest_part(mask: NDArray[np.uint8]) -> Any:
    return max(regionprops(components(mask)), key=lambda part: part.area)


class TestMissingTargets:
    def test_shares_are_kept_and_nested_and_leave_the_images_alone(self) -> None:
        splits = [
            Phantom(size=32, lesion_area=(0.05, 0.1), train=400, without_mask=share, without_label=share).load()[
                "train"
            ]
            for share in (0.0, 0.2, 0.5, 1.0)
        ]
        whole = splits[0]
        assert not whole.masks.eq(255).any()
        assert not whole.labels.eq(-100).any()
        gone_before = torch.zeros(2, 400, dtype=torch.bool)
        for share, split in zip((0.0, 0.2, 0.5, 1.0), splits, strict=True):
            gone = torch.stack((split.masks.eq(255).flatten(1).all(1), split.labels.eq(-100)))
            assert torch.equal(split.images, whole.images)
            assert torch.equal(split.masks[~gone[0]], whole.masks[~gone[0]])
            assert torch.equal(split.labels[~gone[1]], whole.labels[~gone[1]])
            assert (gone & gone_before).equal(gone_before)
            assert gone.float().mean(1).tolist() == pytest.approx([share, share], abs=0.07)
            gone_before = gone

    def test_masks_and_labels_go_independently(self) -> None:
        split = Phantom(size=32, lesion_area=(0.05, 0.1), train=400, without_mask=0.5, without_label=0.5).load()[
            "train"
        ]
        both = split.masks.eq(255).flatten(1).all(1) & split.labels.eq(-100)
        assert both.float().mean().item() == pytest.approx(0.25, abs=0.07)

    def test_only_the_training_split_loses_targets(self) -> None:
        splits = Phantom(without_mask=1.0, without_label=1.0).load()
        for name in ("val", "test"):
            assert not splits[name].masks.eq(255).any()
            assert not splits[name].labels.eq(-100).any()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"size": 16}, "data.size is 16, but must be a whole number >= 32 and <= 1024"),
    ({"size": 64.0}, "data.size is 64.0, but must be a whole number"),
    ({"size": True}, "data.size is True, but must be a whole number"),
    ({"size": [64, 64]}, "data.size is [64, 64], but must be a whole number"),
    ({"train": 0}, "data.train is 0, but must be a whole number >= 1"),
    ({"val": -3}, "data.val is -3, but must be a whole number >= 1"),
    ({"test": None}, "data.test is None, but must be a whole number >= 1"),
    ({"class_probabilities": [0.5, 0.5]}, "data.class_probabilities is [0.5, 0.5], but must be a list of 3 numbers"),
    ({"class_probabilities": "abc"}, "data.class_probabilities is 'abc', but must be a list of 3 numbers"),
    ({"class_probabilities": [1, 1, 1]}, "which sums to 3, but must sum to 1: divide each by the sum"),
    ({"class_probabilities": [0.5, 0.7, -0.2]}, "data.class_probabilities[2] is -0.2, but must be a number >= 0"),
    ({"lesion_area": 0.1}, "data.lesion_area is 0.1, but must be a list of 2 numbers: smallest, largest"),
    ({"lesion_area": [0.1, 0.05]}, "data.lesion_area is [0.1, 0.05], but the smallest must come before the largest"),
    ({"lesion_area": [0.1, 0.3]}, "data.lesion_area[1] is 0.3, but must be a number >= 0 and <= 0.2"),
    ({"lesion_area": [0.001, 0.1]}, "data.lesion_area[0] is 0.001, but must be >= 0.0074 at data.size=64"),
    ({"contrast": 1.5}, "data.contrast is 1.5, but must be a number >= 0 and <= 1"),
    ({"noise": -1}, "data.noise is -1, but must be a number >= 0 and <= 1"),
    ({"noise": float("nan")}, "data.noise is nan, but must be a number >= 0 and <= 1"),
    ({"noise": "much"}, "data.noise is 'much', but must be a number >= 0 and <= 1"),
    ({"without_mask": 1.1}, "data.without_mask is 1.1, but must be a number >= 0 and <= 1"),
    ({"without_label": -0.1}, "data.without_label is -0.1, but must be a number >= 0 and <= 1"),
    ({"seed": -1}, "data.seed is -1, but must be a whole number >= 0"),
    ({"seed": 2**63}, "data.seed is 9223372036854775808, but must be a whole number >= 0 and <= 9223372036854775807"),
]


@pytest.mark.parametrize(("setting", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_settings_are_refused_by_name(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        Phantom(**setting)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [list, tuple, OmegaConf.create])
def test_lists_of_any_kind_are_taken(make: Callable[[list[float]], Any]) -> None:
    assert Phantom(lesion_area=make([0.05, 0.1])).params == PhantomParams(lesion_area=(0.05, 0.1))
