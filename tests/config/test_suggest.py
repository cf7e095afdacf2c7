"""One line that names the key and the nearest valid one."""

from collections.abc import Callable

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.config.suggest import SHOWN, explain, nearest
from tandem.errors import ConfigError


@pytest.mark.parametrize(
    ("wrong", "valid", "line"),
    [
        ("gama", ["gamma", "alpha"], "did you mean 'gamma'? (there are: alpha, gamma)"),
        ("focall", ["dice", "focal", "bce_focal"], "did you mean 'focal'? (there are: bce_focal, dice, focal)"),
        ("zzz", ["gamma", "alpha"], "there are: alpha, gamma"),
        ("zzz", ["b", "a", "b"], "there are: a, b"),
        ("zzz", [], "there are none"),
        ("", ["a"], "there are: a"),
    ],
)
def test_nearest(wrong: str, valid: list[str], line: str) -> None:
    assert nearest(wrong, valid) == line


def test_the_nearest_of_many_choices_are_shown() -> None:
    many = [f"model_{number}" for number in range(500)]
    line = nearest("model_77x", many)
    assert line.startswith("did you mean 'model_77'? (there are: model_77, ")
    assert line.count("model_") == SHOWN + 1
    assert line.endswith(", ...)")
    assert nearest("quite another", many).endswith(", ...")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("abcdef_", min_size=1, max_size=8), min_size=1, max_size=SHOWN), st.data())
def test_a_valid_word_is_its_own_nearest(valid: list[str], data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(valid))
    assert nearest(word, valid).startswith(f"did you mean '{word}'?")
    assert nearest(word, reversed(valid)) == nearest(word, valid)


@pytest.fixture
def explained() -> Callable[..., str]:
    """The explanation of overrides that do not compose or resolve."""
    register()

    def make(*overrides: str) -> str:
        with (
            initialize_config_dir(str(config_folder()), version_base="1.3"),
            pytest.raises(Exception, match=r"\S") as caught,
        ):
            resolve(compose("train", overrides=list(overrides)))
        return str(caught.value) if isinstance(caught.value, ConfigError) else explain(caught.value, overrides)

    return make


CASES = [
    # unknown keys: at the root, in a typed part, in an option, deep inside, in an option without keys
    (["sed=3"], "unknown key 'sed': did you mean 'seed'? (there are: seed, "),
    (["experimant=tiny"], "unknown key 'experimant': did you mean 'experiment'? ("),
    (["+sed=3"], "unknown key 'sed': did you mean 'seed'? ("),
    (
        ["loader.batchsize=3"],
        "unknown key 'loader.batchsize': did you mean 'batch_size'? (there are: batch_size, "
        "incomplete, labels, masks, sampling, workers)",
    ),
    (["optimizer.lrr=1"], "unknown key 'optimizer.lrr': did you mean 'lr'? (there are: lr, weight_decay)"),
    (
        ["tasks.segmentation.loss.gama=3"],
        "unknown key 'tasks.segmentation.loss.gama': did you mean 'gamma'? "
        "(there are: alpha, bce_weight, focal_weight, gamma)",
    ),
    (["tasks.segmentatoin.loss.gamma=3"], "unknown key 'tasks.segmentatoin': did you mean 'segmentation'? ("),
    (
        ["optimizer.zzz=1"],
        "unknown key 'optimizer.zzz': there are: lr, weight_decay; to add a key that is not listed, "
        "type +optimizer.zzz=...",
    ),
    (
        ["augment.rotate=3"],
        "unknown key 'augment.rotate': the chosen option of augment has no keys; choose another with augment=...",
    ),
    (["callbacks.progres=null"], "unknown key 'callbacks.progres': did you mean 'progress'? (there are: best, "),
    # the right word in the wrong place
    (["lr=0.1"], "unknown key 'lr': did you mean 'optimizer.lr'?"),
    (["gamma=3"], "unknown key 'gamma': did you mean 'tasks.segmentation.loss.gamma'?"),
    (["epochs=3"], "unknown key 'epochs': did you mean 'trainer.max_epochs'?"),
    (["model=unet"], "unknown key 'model': did you mean 'network=unet'?"),
    (
        ["task.segmentation.loss=x"],
        "unknown key 'task': task is a config group; did you mean 'tasks.segmentation.loss'?",
    ),
    (
        ["loss=focal"],
        "'loss' is chosen for each task: did you mean 'loss/multiclass@tasks.classification.loss=focal' or "
        "'loss/binary@tasks.segmentation.loss=focal'?",
    ),
    (["loss=dice_bce"], "'loss' is chosen for each task: did you mean 'loss/binary@tasks.segmentation.loss=dice_bce'?"),
    (["optimizer=0.1"], "'optimizer=0.1' is a number, but optimizer is a config group: there are: adam, adamw, sgd"),
    # unknown options
    (
        ["network=unett"],
        "no option 'unett' in the config group 'network': did you mean 'unet'? (there are: deeplabv3, ",
    ),
    (["experiment=bussi"], "no option 'bussi' in the config group 'experiment': did you mean 'busi'? ("),
    (["data=nothing_like_it"], "no option 'nothing_like_it' in the config group 'data': there are: busi, coco, "),
    (
        ["loss/binary@tasks.segmentation.loss=focall"],
        "no option 'focall' in the config group 'loss/binary': did you mean 'focal'? (there are: ",
    ),
    (
        ["task=[segmentation,detection]"],
        "no option 'detection' in the config group 'task': did you mean 'segmentation'? (there are: area, ",
    ),
    (["+nothing/like=it"], "unknown key 'nothing/like': there are: augment, "),
    (["data=null"], "data is null, but must be the name of one of its options, such as augment=none"),
    # the right option in the wrong place
    (
        ["loss/multiclass@tasks.segmentation.loss=cross_entropy"],
        "nothing is chosen with 'loss/multiclass@tasks.segmentation.loss'; "
        "tasks.segmentation.loss is chosen with loss/binary@tasks.segmentation.loss=...",
    ),
    (
        ["loss/binary@tasks.classification.loss=focal"],
        "nothing is chosen with 'loss/binary@tasks.classification.loss'; "
        "tasks.classification.loss is chosen with loss/multiclass@tasks.classification.loss=...",
    ),
    (
        ["loss/binary@tasks.segmentatoin.loss=focal"],
        "nothing is chosen with 'loss/binary@tasks.segmentatoin.loss'; "
        "did you mean 'loss/binary@tasks.segmentation.loss'? (",
    ),
    (
        ["task=classification", "loss/binary@tasks.segmentation.loss=focal"],
        "'loss/binary@tasks.segmentation.loss' has no place in this configuration; was its task left out?",
    ),
    # syntax
    (["seed"], "'seed' cannot be read; write key=value"),
    (
        ["name=[a"],
        "'name=[a' cannot be read (no viable alternative at input '[a'); put a value with special characters",
    ),
    (["name=a=b"], "'name=a=b' cannot be read (mismatched input '=' expecting <EOF>); put a value with special"),
    (
        ["optimizer.lr=1,2"],
        "'optimizer.lr=1,2' has several values; add -m to sweep over them, or write a list: key=[",
    ),
    # values
    (["seed=abc"], "seed: value 'abc' of type 'str' could not be converted to Integer"),
    (["loader.batch_size=1.5"], "loader.batch_size: value '1.5' of type 'float' could not be converted to Integer"),
    (["name=null"], "name: field 'name' is not Optional"),
    (["loader=3"], "loader: invalid type assigned: int is not a subclass of LoaderConfig. value: 3"),
    # references and missing values
    (["optimizer.lr=${nope}"], "optimizer.lr: interpolation key 'nope' not found"),
    (["scheduler=cosine", "scheduler.T_max=${trainer.epochs}"], "scheduler.T_max: interpolation key 'trainer.epochs' "),
    (["task=[]"], "tasks has no value; give it, for instance tasks=VALUE"),
    (["experiment=busi"], "data.root has no value; give it, for instance data.root=VALUE"),
    # Hydra's own words, where they are good enough
    (["~optimizer.lrr"], "Could not delete from config. 'optimizer.lrr' does not exist."),
    (["+optimizer.lr=3"], "Could not append to config. An item is already at 'optimizer.lr'."),
]


@pytest.mark.parametrize(("overrides", "line"), CASES, ids=[" ".join(overrides) for overrides, _ in CASES])
def test_a_mistake_is_explained_in_one_line(explained: Callable[..., str], overrides: list[str], line: str) -> None:
    text = explained(*overrides)
    assert text.startswith(line)
    assert "\n" not in text
    assert "hydra.cc" not in text
    for noise in ("full_key", "object_type", "reference_type", "_target_", "$VALUE", "Error merging"):
        assert noise not in text


def test_every_shipped_place_is_known(explained: Callable[..., str]) -> None:
    from tandem.config.shipped import shipped_places

    for place in shipped_places():  # of chosen tasks and of others
        option = f"no option 'nothing_like_it' in the config group '{place.split('@')[0]}'"
        assert explained(f"{place}=nothing_like_it").startswith(
            (option, f"'{place}' has no place in this configuration")
        )


def test_an_error_without_a_message_shows_its_type() -> None:
    assert explain(ValueError()) == "ValueError"


def test_an_error_of_many_lines_is_cut_to_one() -> None:
    assert explain(ValueError("a\n\n  b  c\nd\ne")) == "a; b c; d"


def test_the_cause_explains_an_error_without_a_message() -> None:
    from omegaconf import OmegaConf

    config = OmegaConf.create({"a": {"gamma": 1}})
    OmegaConf.set_struct(config, True)
    with pytest.raises(AttributeError) as caught:
        config.a.gama = 2
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = caught.value
    assert explain(wrapped).startswith("unknown key 'a.gama': did you mean 'gamma'?")


def test_an_error_of_a_resolver_keeps_its_own_message() -> None:
    OmegaConf.register_new_resolver("test_refusing", _refuse, replace=True)
    try:
        with pytest.raises(OmegaConfBaseException) as caught:
            OmegaConf.to_container(OmegaConf.create({"folder": "${test_refusing:}"}), resolve=True)
        assert explain(caught.value) == "monitors.mine.rank is 'high', but must be a number"
    finally:
        OmegaConf.clear_resolver("test_refusing")


def _refuse() -> str:
    raise ConfigError("monitors.mine.rank is 'high', but must be a number")


@pytest.mark.parametrize(
    ("primary", "word", "line"),
    [
        ("evaluate", "experiment=busi", "'experiment' belongs to training; leave it out (this command chooses 'data')"),
        (
            "show_data",
            "experiment=busi",
            "'experiment' belongs to training; leave it out (this command chooses 'augment' or ",
        ),
        ("predict", "network=unet", "'network' belongs to training; leave it out (this command chooses no option"),
    ],
)
def test_a_command_names_what_it_chooses_itself(primary: str, word: str, line: str) -> None:
    register()
    with (
        initialize_config_dir(str(config_folder()), version_base="1.3"),
        pytest.raises(Exception, match=r"\S") as caught,
    ):
        compose(primary, [word])
    assert explain(caught.value, [word], primary).startswith(line)
