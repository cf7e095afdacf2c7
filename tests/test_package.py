"""The wheel works outside any checkout, with the configuration that it carries."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import tandem

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of this checkout in which somebody has paths of their own, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("src", "conf", "docs/examples", "pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        path = REPOSITORY / name
        shutil.copytree(path, copy / name, symlinks=True) if path.is_dir() else shutil.copy(path, copy / name)
    (copy / "conf" / "local").mkdir(exist_ok=True)
    (copy / "conf" / "local" / "mine.yaml").write_text("cache: /home/somebody\n")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(copy)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment with the wheel, which borrows the other packages from this one."""
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # a path line does not run the .pth files of that folder, so this checkout's editable install is not seen
    (folder / "lib" / version / "site-packages" / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--python", str(python), str(wheel)], check=True)
    return folder / "bin"


def run(installed: Path, cwd: Path, *arguments: str, command: str = "tandem-train") -> str:
    """Runs an installed command far from the checkout."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [installed / command if (installed / command).exists() else command, *arguments],
        cwd=cwd,
        env={**variables, "OMP_NUM_THREADS": "1", "PATH": f"{installed}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_wheel_carries_the_whole_configuration(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"tandem/{path.relative_to(REPOSITORY).as_posix()}" for path in (REPOSITORY / "conf").rglob("*.yaml")}
    assert {name for name in shipped if not name.startswith("tandem/conf/local/")} <= names
    assert [name for name in names if name.startswith("tandem/conf/local/")] == []
    assert "tandem/conf/__init__.py" in names, "Hydra's own compose imports it"
    own = (path for path in (REPOSITORY / "docs/examples").rglob("*") if path.suffix in (".py", ".yaml", ".sh"))
    assert {f"tandem/{path.relative_to(REPOSITORY / 'docs').as_posix()}" for path in own} <= names


def test_the_wheel_has_a_name_of_its_own(wheel: Path) -> None:
    assert wheel.name.startswith("tandem_mtl-"), "tandem on the package index is somebody else's"


def test_the_version_is_printed(installed: Path, tmp_path: Path) -> None:
    assert run(installed, tmp_path, "--version").strip() == f"tandem-mtl {tandem.__version__}"


@pytest.mark.parametrize("folder", ["src", "conf", "docs", "README.md", "scripts", "tests"])
def test_nothing_names_the_other_package(folder: str) -> None:
    old = re.compile(r"tandem\[[a-z{]|tandem\\\[|pip install '?tandem(?!-mtl)\b")
    place = REPOSITORY / folder
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    texts = (path for path in files if path.suffix in (".py", ".yaml", ".md") and path != Path(__file__))
    assert [str(path) for path in texts if old.search(path.read_text(encoding="utf-8"))] == []


def test_help_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "loss/binary" in run(installed, tmp_path, "--help")


def test_launchers_come_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "keep_going: true" in run(installed, tmp_path, "hydra/launcher=processes", "--cfg", "hydra")


@pytest.mark.full
@pytest.mark.slow
def test_a_small_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    small = ["data.size=32", "data.train=12", "data.val=12", "data.test=12", "data.seed=3", "trainer.max_epochs=1"]
    shown = run(installed, tmp_path, "experiment=demo", *small)
    assert "report:" in shown
    assert len(list(tmp_path.glob("runs/demo/*/report.html"))) == 1


COMMANDS = sorted(tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"])
EXAMPLES = sorted(
    f"{group}={path.stem}" for group in ("experiment", "study") for path in (REPOSITORY / "conf" / group).glob("*.yaml")
)


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_offered(command: str, installed: Path, tmp_path: Path) -> None:
    assert "example" in run(installed, tmp_path, "--help", command=command).lower()
    assert not list(tmp_path.iterdir()), "help leaves nothing behind"


@pytest.mark.full
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_offered(example: str, installed: Path, tmp_path: Path) -> None:
    shown = run(installed, tmp_path, example, "data.root=PATH" if "busi" in example else "seed=1", "--cfg", "job")
    assert "tasks:" in shown


@pytest.mark.full
def test_an_own_part_of_the_wheel_works(installed: Path, tmp_path: Path) -> None:
    (examples,) = installed.parent.glob("lib/*/site-packages/tandem/examples")
    shutil.copytree(examples / "loss", tmp_path / "loss")
    script = (
        (tmp_path / "loss" / "run.sh")
        .read_text(encoding="utf-8")
        .replace("experiment=tiny", "experiment=tiny --cfg job")
    )
    shown = run(installed, tmp_path / "loss", "-c", script, command="bash")
    assert "_target_: own_loss." in shown


@pytest.mark.full
def test_python_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    text = "import tandem; print(tandem.__file__, tandem.__version__)"
    shown = run(installed, tmp_path, "-c", text, command="python").split()
    assert shown == [str(next(installed.parent.glob("lib/*/site-packages/tandem/__init__.py"))), tandem.__version__]
