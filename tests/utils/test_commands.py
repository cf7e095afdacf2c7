"""Every command exists three times: installed, as a script, and as a module."""

import tomllib
from importlib.util import find_spec
from pathlib import Path

from tandem.utils.commands import SCRIPTS, installed_name

REPOSITORY = Path(__file__).parents[2]


def test_every_command_is_installed_a_script_and_a_module() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {installed_name(package): f"tandem.{package}:main" for package in SCRIPTS}
    scripts = {path.stem: path.read_text(encoding="utf-8") for path in (REPOSITORY / "scripts").glob("*.py")}
    assert sorted(scripts) == sorted(SCRIPTS.values())
    for package, script in SCRIPTS.items():
        assert f"from tandem.{package} import main" in scripts[script]
        assert find_spec(f"tandem.{package}.__main__") is not None
