"""What counts as swept is read from the configurations."""

from typing import Any

from tandem.study.cells import cells_of, missing_of
from tandem.study.runs import Study, read_study
from tandem.study.swept_params import param_labels, swept_params

GAMMA, ALPHA = "tasks.segmentation.loss.gamma", "tasks.segmentation.loss.alpha"
LOSS = "tasks.segmentation.loss"


def study_of(make: Any) -> Study:
    return read_study([make.folder])


def test_seeds_folds_and_presentation_are_no_hyperparameters(make: Any) -> None:
    for seed, fold in ((0, 0), (0, 1), (1, 0), (1, 1)):
        make(
            {
                "seed": seed, "data.fold": fold, "data.folds": 2, "name": f"n{seed}", "logger": {"csv": seed},
                "trainer.enable_progress_bar": bool(seed), "data.cache": f"c{fold}", "loader.workers": seed,
            },
            {},
        )  # fmt: skip
    runs = study_of(make).runs
    assert swept_params(runs) == []
    [cell] = cells_of(runs, {})
    assert len(cell.runs) == 4


def test_seed_and_fold_of_one_source_of_mixed_data_are_replicates(make: Any) -> None:
    for fold in (0, 1):
        make({"data.sources": {"a": {"fold": fold, "cache": str(fold)}}}, {})
    assert swept_params(study_of(make).runs) == []


def test_another_class_brings_no_hyperparameters_but_itself(make: Any) -> None:
    make({}, {})
    make({LOSS: {"_target_": "tandem.losses.binary.BCE"}}, {})
    make({LOSS: {"_target_": "tandem.losses.binary.Tversky", "alpha": 0.7, "beta": 0.3}}, {})
    runs = study_of(make).runs
    assert swept_params(runs) == [LOSS]
    cells = cells_of(runs, param_labels([LOSS], runs))
    assert [cell.label for cell in cells] == ["loss=BCE", "loss=Focal", "loss=Tversky"]


def test_a_hyperparameter_that_only_one_class_has_is_swept_within_it(make: Any) -> None:
    for gamma in (1.0, 2.0):
        make({GAMMA: gamma}, {})
    make({LOSS: {"_target_": "tandem.losses.binary.BCE"}}, {})
    runs = study_of(make).runs
    labels = param_labels(swept_params(runs), runs)
    assert labels == {LOSS: "loss", GAMMA: "gamma"}
    assert [cell.label for cell in cells_of(runs, labels)] == ["loss=BCE", "loss=Focal, gamma=1", "loss=Focal, gamma=2"]


def test_hyperparameters_that_vary_together_are_both_named(make: Any) -> None:
    make({GAMMA: 1.0, ALPHA: 0.25}, {})
    make({GAMMA: 2.0, ALPHA: 0.5}, {})
    runs = study_of(make).runs
    assert swept_params(runs) == [GAMMA, ALPHA]
    cells = cells_of(runs, param_labels([GAMMA, ALPHA], runs))
    assert [(cell.label, cell.values) for cell in cells] == [("gamma=1", (1.0, 0.25)), ("gamma=2", (2.0, 0.5))]


def test_options_of_another_decoder_and_an_empty_group_follow_from_the_choice(make: Any) -> None:
    make({}, {})
    make({"network.decoder": "fpn", "network.decoder_options": {"pyramid": 64}}, {})
    make({"augment": {"flip": {"_target_": "x.Flip", "p": 0.5}}}, {})
    assert swept_params(study_of(make).runs) == ["augment", "network.decoder"]


def test_tasks_are_one_hyperparameter_and_what_follows_from_them_none(make: Any) -> None:
    make({}, {})
    alone = {"tasks.segmentation!": 0, "balance.weights.segmentation!": 0}
    make({**alone, "monitor": "val/x", "callbacks.best.monitor": "val/x"}, {})
    runs = study_of(make).runs
    assert swept_params(runs) == ["tasks"]
    assert [cell.label for cell in cells_of(runs, param_labels(["tasks"], runs))] == [
        "tasks=classification", "tasks=classification+segmentation",
    ]  # fmt: skip


def test_weights_keep_their_parent_in_labels(make: Any) -> None:
    for weight in (0.5, 1.0):
        make({"balance.weights.segmentation": weight, "optimizer.lr": weight / 100}, {})
    runs = study_of(make).runs
    assert list(param_labels(swept_params(runs), runs).values()) == ["weights.segmentation", "lr"]


def test_folder_names_mean_nothing(make: Any) -> None:
    make({GAMMA: 1.0}, {}, name="gamma=9,alpha=9")
    make({GAMMA: 2.0}, {}, name="deep/er/gamma=1")
    runs = study_of(make).runs
    assert {cell.label for cell in cells_of(runs, param_labels(swept_params(runs), runs))} == {"gamma=1", "gamma=2"}


def test_cells_stand_in_the_order_of_numbers(make: Any) -> None:
    for gamma in (10.0, 2.0, 1, 0.5):
        make({GAMMA: gamma}, {})
    runs = study_of(make).runs
    assert [cell.values for cell in cells_of(runs, {GAMMA: "gamma"})] == [(0.5,), (1,), (2.0,), (10.0,)]


def test_a_list_is_one_value(make: Any) -> None:
    for channels in ([8, 4], [9, 8]):
        make({"network.decoder_options.channels": channels}, {})
    runs = study_of(make).runs
    assert swept_params(runs) == ["network.decoder_options.channels"]
    labels = param_labels(swept_params(runs), runs)
    assert [cell.label for cell in cells_of(runs, labels)] == ["channels=[8, 4]", "channels=[9, 8]"]


def test_missing_seeds_and_holes_of_a_grid_are_named(make: Any) -> None:
    for gamma, alpha, seed in ((1.0, 0.25, 0), (1.0, 0.25, 1), (2.0, 0.25, 0), (1.0, 0.5, 0), (1.0, 0.5, 1)):
        make({GAMMA: gamma, ALPHA: alpha, "seed": seed}, {})
    runs = study_of(make).runs
    labels = param_labels(swept_params(runs), runs)
    assert missing_of(cells_of(runs, labels), labels) == ["gamma=2, alpha=0.25: seed 1", "gamma=2, alpha=0.5: no run"]


def test_data_with_seeds_of_their_own_pair_with_data_without(make: Any) -> None:
    busi = {"_target_": "tandem.data.busi.BUSI", "split_seed": 0, "folds": None, "fold": None}
    for seed in (0, 1):
        make({"seed": seed}, {})
        make({"seed": seed, "data": busi}, {})
    runs = study_of(make).runs
    labels = param_labels(swept_params(runs), runs)
    cells = cells_of(runs, labels)
    assert [cell.label for cell in cells] == ["data=BUSI", "data=Phantom"]
    assert list(cells[0].runs) == list(cells[1].runs) == [(("seed", 0),), (("seed", 1),)]
    assert missing_of(cells, labels) == []


def test_a_random_search_has_no_holes(make: Any) -> None:
    for number in range(5):
        make({GAMMA: 1.0 + number, ALPHA: 0.1 + number / 10}, {})
    runs = study_of(make).runs
    labels = param_labels(swept_params(runs), runs)
    assert missing_of(cells_of(runs, labels), labels) == []


def test_a_run_that_lies_there_twice_counts_once(make: Any) -> None:
    make({}, {"test/segmentation/dice": 0.5}, hash="same")
    make({"name": "other"}, {"test/segmentation/dice": 0.5}, hash="same", name="copy")
    assert len(study_of(make).runs) == 1
