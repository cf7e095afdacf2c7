"""Nothing that only POSIX has keeps tandem from being imported, from showing its help, or from composing a run."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tandem

MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog")

BARE = """
import importlib, os, pkgutil, signal, sys

# libraries adapt to the system that they see first; only tandem is to miss what Windows does not have
import torch, torchvision, pytorch_lightning, torchmetrics, hydra, timm, matplotlib.pyplot, filelock, multiprocessing
import multiprocessing.pool, multiprocessing.popen_fork, torch.utils.tensorboard, rich.progress

known = dict(vars(signal))
for name in MODULES:
    sys.modules[name] = None
for name in ("SIGUSR1", "SIGUSR2", "SIGKILL", "SIGHUP", "SIGALRM", "pthread_sigmask", "sigwaitinfo", "alarm"):
    delattr(signal, name)
for name in ("fork", "killpg", "getpgid", "setsid", "register_at_fork", "sched_getaffinity", "sysconf", "getuid",
             "geteuid", "statvfs", "uname", "mkfifo", "chown", "getloadavg", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY"):
    delattr(os, name)

import tandem
for module in pkgutil.walk_packages(tandem.__path__, "tandem."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

vars(signal).update(known)  # Lightning names them where it has seen POSIX
from tandem.train.run import main
for words in WORDS:
    sys.argv = ["tandem-train", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
print("whole")
"""

COMPOSED = ["experiment=tiny", "data.train=24", "data.val=12", "data.test=12", "logger=none", "callbacks.panels=null"]


def run(words: list[list[str]], folder: Path) -> str:
    """What the script prints."""
    script = BARE.replace("WORDS", repr(words)).replace("MODULES", repr(MODULES))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, env={**os.environ}, timeout=300
    )
    assert done.stdout.endswith("whole\n"), done.stdout + done.stderr
    return done.stdout


def test_no_module_needs_what_only_posix_has() -> None:
    """The short form: no module of tandem imports a module that only POSIX has."""
    sources = [*(Path(tandem.__file__).parent).rglob("*.py")]
    imported = {
        f"{path.name}: {name}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
        if name in MODULES
    }
    assert imported == set()


@pytest.mark.full
def test_modules_are_imported_and_a_run_is_composed_and_trained(tmp_path: Path) -> None:
    printed = run([["--help"], [*COMPOSED, "--cfg", "job"], [*COMPOSED, "trainer.max_epochs=1", "name=one"]], tmp_path)
    assert "max_epochs" in printed
    assert len(list(tmp_path.glob("runs/one/*/results.json"))) == 1
