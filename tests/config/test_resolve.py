"""The typed root, the identity of a run, and what is said where a value is missing or means nothing."""

import copy
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tandem.config.identity import NOT_IDENTITY, PATHS, is_presentation, run_hash
from tandem.config.resolve import flatten, register, resolve
from tandem.config.shipped import config_folder, shipped_groups, shipped_places
from tandem.config.suggest import explain
from tandem.errors import ConfigError

Composer = Callable[..., DictConfig]


@pytest.fixture
def composed() -> Composer:
    """Composes `train.yaml` as the command line does, without Hydra's own part."""
    register()

    def make(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            return compose("train", overrides=list(overrides))

    return make


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    """The resolved default configuration."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("train"))


def put(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy with another value at a dotted key."""
    changed = copy.deepcopy(config)
    *parents, last = key.split(".")
    node: Any = changed
    for parent in parents:
        node = node[int(parent)] if isinstance(node, list) else node.setdefault(parent, {})
    node[int(last) if isinstance(node, list) else last] = value
    return changed


# ------------------------------------------------------------------------------------------------------------- identity


@pytest.mark.parametrize("key", NOT_IDENTITY)
@pytest.mark.parametrize("value", ["other", None, {}, {"_target_": "a.B"}], ids=str)
def test_what_only_shows_or_places_a_run_is_no_part_of_its_identity(
    default: dict[str, Any], key: str, value: Any
) -> None:
    for entry in ("segmentation", "pixel_ap"):  # where a key holds for every task or metric
        key = key.replace("*", entry, 1)
    assert is_presentation(key)
    assert run_hash(put(default, key, value)) == run_hash(default)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["name=a", "runs=here"], ["name=b", "runs=there"]),
        (["logger=tensorboard"], ["logger=none"]),
        (["callbacks.progress=null", "callbacks.panels.count=3"], ["callbacks.metrics_csv=null"]),
        (["trainer.enable_progress_bar=false"], ["trainer.log_every_n_steps=1"]),
        (
            ["experiment=busi", "data.root=x", "data.cache=here"],
            ["experiment=busi", "data.root=./x", "data.cache=null"],
        ),
    ],
    ids=str,
)
def test_the_same_run_shown_or_kept_otherwise_is_the_same_run(
    composed: Composer, first: list[str], second: list[str]
) -> None:
    assert run_hash(resolve(composed(*first))) == run_hash(resolve(composed(*second)))


def test_every_other_setting_is_part_of_the_identity(composed: Composer) -> None:
    plain = resolve(composed("scheduler=cosine", "augment=light", "loss/binary@tasks.segmentation.loss=dice_bce"))
    seen = {run_hash(plain)}
    keys = [key for key in flatten(plain) if not is_presentation(key)]
    for key in keys:
        seen.add(run_hash(put(plain, key, "another")))
        seen.add(run_hash(put(plain, key, None)))
    nulls = sum(value is None for key, value in flatten(plain).items() if key in keys)
    assert len(keys) > 60
    assert len(seen) == 1 + 2 * len(keys) - nulls, keys


def test_a_setting_that_is_added_changes_the_identity(default: dict[str, Any]) -> None:
    assert run_hash(put(default, "optimizer.betas", [0.9, 0.99])) != run_hash(default)


def test_the_watch_for_collapse_is_part_of_the_identity_only_where_it_may_end_the_run(composed: Composer) -> None:
    watched = run_hash(resolve(composed()))
    assert run_hash(resolve(composed("callbacks.collapse.every=7", "callbacks.collapse.patience=9"))) == watched
    assert run_hash(resolve(composed("callbacks.collapse=null"))) == watched
    stops = run_hash(resolve(composed("callbacks.collapse.stop=true")))
    assert stops != watched
    assert run_hash(resolve(composed("callbacks.collapse.stop=true", "callbacks.collapse.patience=9"))) != stops


def test_the_order_of_keys_does_not_count() -> None:
    assert run_hash({"a": {"b": 1, "c": 2}, "d": 3}) == run_hash({"d": 3, "a": {"c": 2, "b": 1}})


def test_the_order_of_a_list_counts() -> None:
    assert run_hash({"a": [1, 2]}) != run_hash({"a": [2, 1]})


def test_the_hash_is_stable_over_releases_and_machines() -> None:
    canonical = b'{"optimizer":{"lr":0.0001},"seed":1}'
    digest = hashlib.sha256(canonical).hexdigest()[:12]
    assert run_hash({"seed": 1, "name": "x", "optimizer": {"lr": 1e-4}}) == digest


@pytest.mark.parametrize("key", PATHS)
def test_one_folder_typed_in_several_ways_is_one_identity(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "the data"
    place.mkdir()
    (tmp_path / "link").symlink_to(place)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    ways = [str(place), "the data", "./the data/", "the data/../the data", "link", "~/the data", f"{place}{os.sep}"]
    assert len({run_hash(put({"seed": 1}, key, way)) for way in ways}) == 1
    assert run_hash(put({"seed": 1}, key, "another")) != run_hash(put({"seed": 1}, key, "link"))


def test_hashing_leaves_the_configuration_as_it_is(composed: Composer) -> None:
    plain = resolve(composed("experiment=busi", "data.root=somewhere"))
    before = copy.deepcopy(plain)
    run_hash(plain)
    assert plain == before


def test_the_resolver_gives_the_hash_of_the_resolved_configuration(composed: Composer) -> None:
    overrides = ["scheduler=cosine", "data.train=24", "name=a b", "runs=there"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        whole = compose("train", overrides=overrides, return_hydra_config=True)
    assert whole.hydra.run.dir == f"there/a b/{run_hash(resolve(composed(*overrides)))}"


def test_the_identity_of_an_unfinished_configuration_can_be_asked_for(composed: Composer) -> None:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        whole = compose("train", overrides=["experiment=busi"], return_hydra_config=True)
    assert whole.hydra.run.dir.startswith("runs/busi/")


def test_a_jobs_folder_is_named_by_the_hash(
    tandem_train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tandem.cli.remove_refused_job", lambda folder, config: None)
    tandem_train("experiment=tiny", "mode=none")  # refused, after its folder was made
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        plain = resolve(compose("train", overrides=["experiment=tiny", "mode=none"]))
    assert [path.name for path in (tmp_path / "runs" / "tiny").iterdir()] == [run_hash(plain)]


# -------------------------------------------------------------------------------------------------------------- resolve


def test_resolve_gives_plain_containers_without_references(composed: Composer) -> None:
    plain = resolve(composed("scheduler=cosine", "trainer.max_epochs=7"))
    assert type(plain) is dict
    assert plain["scheduler"]["T_max"] == 7
    assert "${" not in str(plain)
    assert "hydra" not in plain


def test_a_reference_has_the_type_of_the_setting(composed: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "5")
    plain = resolve(composed("seed=${oc.env:SEED}"))
    assert plain == resolve(composed("seed=5"))
    assert type(plain["seed"]) is int


@pytest.mark.parametrize("key", ["+data.note", "name", "optimizer.lr"])
@pytest.mark.parametrize("reference", ["${hydra.job.name}", "${ hydra.job.name}"])
def test_what_refers_to_hydra_is_refused_before_a_folder_is_made(key: str, reference: str) -> None:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        whole = compose("train", overrides=[f"{key}={reference}"], return_hydra_config=True)
    with pytest.raises(OmegaConfBaseException) as caught:
        _ = whole.hydra.run.dir
    assert explain(caught.value).startswith(f"{key.lstrip('+')}: interpolation key 'hydra.job.n")


def test_an_empty_option_is_an_empty_dict_or_null(composed: Composer) -> None:
    plain = resolve(composed("augment=none", "logger=none", "scheduler=none"))
    assert not plain["augment"]
    assert not plain["logger"]
    assert not plain["scheduler"]


def test_a_missing_mandatory_value_is_named_in_one_line(composed: Composer) -> None:
    with pytest.raises(ConfigError, match=r"^data\.root has no value; give it, for instance data\.root=VALUE$"):
        resolve(composed("experiment=busi"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+sed=3"], r"^unknown key 'sed': did you mean 'seed'\?"),
        (["optimizer.lr=${nope}"], r"^optimizer\.lr: interpolation key 'nope' not found$"),
        (["name=''"], r"^name is '', but must be the name of a folder below 'runs'$"),
        (["name=' '"], r"^name is ' '"),
        (["name=../elsewhere"], r"^name is '\.\./elsewhere'"),
        (["name=/elsewhere"], r"^name is '/elsewhere'"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(composed: Composer, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(composed(*overrides))


@pytest.mark.parametrize("name", ["my study", "paper/table 2", "ä-1.b"])
def test_a_name_may_hold_blanks_and_folders(composed: Composer, name: str) -> None:
    assert resolve(composed(f"name='{name}'"))["name"] == name


def test_configurations_of_another_root_keep_their_keys() -> None:
    assert resolve(OmegaConf.create({"anything": 1, "b": {"c": "${anything}"}})) == {"anything": 1, "b": {"c": 1}}


# -------------------------------------------------------------------------------------------------------------- flatten


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        ({}, {}),
        ({"a": 1}, {"a": 1}),
        ({"a": {"b": {"c": None}}, "d": "x"}, {"a.b.c": None, "d": "x"}),
        ({"a": [1, {"b": 2}]}, {"a.0": 1, "a.1.b": 2}),
        ({"a": {}, "b": []}, {"a": {}, "b": []}),
        ({1: {2: 3}}, {"1.2": 3}),
    ],
)
def test_flatten(nested: dict[Any, Any], flat: dict[str, Any]) -> None:
    assert flatten(nested) == flat


leaves = st.one_of(st.none(), st.integers(), st.text(max_size=3))
words = st.text("abc", min_size=1, max_size=3)
branches = st.recursive(leaves, lambda inner: st.dictionaries(words, inner, min_size=1, max_size=3), max_leaves=6)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(words, branches, max_size=3))
def test_flatten_loses_nothing(tree: dict[str, Any]) -> None:
    rebuilt: dict[str, Any] = {}
    for key, value in flatten(tree).items():
        rebuilt = put(rebuilt, key, value)
    assert rebuilt == tree


# ------------------------------------------------------------------------------------------------ shipped configuration


def test_the_shipped_folder_and_what_it_asks() -> None:
    assert (config_folder() / "train.yaml").is_file()
    assert {"data", "network", "task", "loss", "optimizer", "experiment"} <= set(shipped_groups())
    assert "loss/binary@tasks.segmentation.loss" in shipped_places()
    assert "loss/multiclass@tasks.classification.loss" in shipped_places()


@pytest.mark.parametrize("key", ["data.split_file", "network.weights"])
def test_a_file_counts_by_its_content_wherever_it_lies(key: str, default: dict[str, Any], tmp_path: Path) -> None:
    one, other = tmp_path / "a.csv", tmp_path / "b" / "c.csv"
    other.parent.mkdir()
    for path in (one, other):
        path.write_text("id,split\nx,train\n")
    before = run_hash(put(default, key, str(one)))
    assert run_hash(put(default, key, str(other))) == before
    one.write_text("id,split\nx,test\n")
    assert run_hash(put(default, key, str(one))) != before
    assert run_hash(put(default, key, "absent.csv")) != before


def test_settings_of_mixed_sources_count_as_those_of_one(composed: Composer, tmp_path: Path) -> None:
    mixed = ["data=mixed", "data@data.sources.second=busi"]

    def named(root: Path, cache: str) -> str:
        said = [f"data.sources.second.root={root}", f"data.sources.second.cache={cache}"]
        return run_hash(resolve(composed(*mixed, *said)))

    assert named(tmp_path, "a") == named(tmp_path / "x" / "..", "b")
    assert named(tmp_path, "a") != named(tmp_path / "x", "a")
