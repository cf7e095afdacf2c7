"""What may be imported by name: everything that a package lists is there, documented, and light where it says so."""

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = ("tandem", "tandem.losses", "tandem.losses.binary", "tandem.losses.multiclass", "tandem.metrics",
            "tandem.callbacks")  # fmt: skip


@pytest.mark.parametrize("package", PACKAGES)
def test_every_listed_name_is_there_and_documented(package: str) -> None:
    module = import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        found = getattr(module, name)
        assert not isinstance(found, type) or found.__doc__, f"{package}.{name} has no docstring"


def test_every_loss_of_a_kind_can_be_imported_from_losses() -> None:
    import tandem.losses as losses

    bases = {"OverlapLoss", "ShapeLoss"}
    assert set(losses.binary.__all__) - bases <= set(losses.__all__)
    assert all(getattr(losses, name) is getattr(losses.binary, name) for name in set(losses.binary.__all__) - bases)


@pytest.mark.parametrize(
    ("line", "unwanted"),
    [
        ("import tandem", ("torch", "hydra", "omegaconf", "numpy")),
        pytest.param("from tandem.losses import Dice", ("pytorch_lightning", "hydra"), marks=pytest.mark.full),
        pytest.param("from tandem.metrics import DiceSweep", ("pytorch_lightning", "hydra"), marks=pytest.mark.full),
    ],
)
def test_nothing_else_is_imported(line: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys; {line}; found = [name for name in {unwanted} if name in sys.modules]"
    code += "; sys.exit(str(found) if found else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
