"""Options that sources share: one default each, flat keys, and unknown ones refused with the nearest name."""

import inspect
from typing import Any

import pytest

from tandem.config.instantiate import build
from tandem.data.busi import BUSI
from tandem.data.dermamnist import DermaMNIST
from tandem.data.folder import Folder
from tandem.data.medmnist import MedMNIST
from tandem.data.oxford_pet import OxfordPet
from tandem.data.shared_options import FileSource, SplitSource
from tandem.errors import ConfigError

SPLIT = {"fractions", "split_seed", "folds", "fold", "split_file", "on_error"}
FILES = SPLIT | {"size", "fit", "crop", "foreground_crops", "channels", "cache", "allow_overlap", "memory_gb"}


@pytest.mark.parametrize(
    ("source", "shared"),
    [
        (SplitSource, SPLIT), (FileSource, FILES), (BUSI, FILES), (Folder, FILES), (OxfordPet, FILES),
        (MedMNIST, SPLIT), (DermaMNIST, SPLIT | {"file", "verify", "size"}),
    ],
)  # fmt: skip
def test_a_signature_lists_the_shared_options_by_name(source: type, shared: set[str]) -> None:
    parameters = inspect.signature(source).parameters
    assert shared <= parameters.keys()
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in shared)
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("busi.BUSI", {"root": "x", "fraction": {}}, r"unknown key 'data\.fraction': did you mean 'fractions'\?"),
        ("busi.BUSI", {"root": "x", "resplit": True}, r"unknown key 'data\.resplit'"),
        ("folder.Folder", {"root": "x", "sizes": 64}, r"unknown key 'data\.sizes': did you mean 'size'\?"),
        ("medmnist.MedMNIST", {"flag": "pathmnist", "folda": 2}, r"unknown key 'data\.folda': did you mean 'folds?'\?"),
        ("dermamnist.DermaMNIST", {"stand_in": True, "verfy": 1}, r"unknown key 'data\.verfy': did you mean 'verify'"),
        ("dermamnist.DermaMNIST", {"stand_in": True, "flag": "pathmnist"}, r"unknown key 'data\.flag'"),
        ("oxford_pet.OxfordPet", {"root": "x", "memory_gb": "much"}, r"data\.memory_gb is .much., but must be"),
        ("folder.Folder", {}, r"data lacks 'root'; give data\.root"),
        ("folder.Folder", {"root": "x", "folds": 1}, r"data\.folds is 1, but must be a whole number from 2"),
        ("busi.BUSI", {"root": "x", "on_error": "stop"}, r"data\.on_error is 'stop'"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_by_name(target: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build({"_target_": f"tandem.data.{target}", **options}, "data")


def test_a_source_of_ones_own_shares_them_and_changes_a_default() -> None:
    class Mine(FileSource):
        def __init__(self, root: str, *, channels: int = 3, **shared: Any) -> None:
            super().__init__(channels=channels, **shared)
            self.root = root

    class Yours(Mine):
        pass

    parameters = inspect.signature(Yours).parameters
    assert {"root", "channels"} | FILES == parameters.keys()
    assert (parameters["channels"].default, parameters["size"].default) == (3, 128)
    made = Yours("x", size=32, folds=3, fold=1)
    assert (made.size, made.channels, made.division.fold, made.storage.cache) == (32, 3, 1, None)
    assert (made.files_fingerprint, made.skipped, made.records) == (None, (), ())
    with pytest.raises(TypeError, match="fodl"):
        Yours("x", fodl=1)
