"""The command: reads the data as training does, writes shards, and prints the line that trains on them."""

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tandem.data.shards.manifest import Manifest

log = logging.getLogger(__name__)


def main() -> None:
    """The command of `scripts/write_shards.py`."""
    from tandem.cli import run_tool

    run_tool(write_job, "write_shards")


def write_job(config: Mapping[str, Any]) -> None:
    """Writes the shards and prints how they are used.

    Args:
        config: the resolved configuration of `conf/write_shards.yaml`.

    Raises:
        ConfigError: the folder is not empty, or the size of the shards is out of range.
        DataError: the data cannot be read.
    """
    from tandem.config.instantiate import build
    from tandem.data.datamodule import DataModule
    from tandem.data.shards.write import check_out, write_shards
    from tandem.utils.outputs import named

    out = named(config)
    check_out(out, config["shard_mb"])
    data = DataModule(build(config["data"], "data"), None, batch_size=1, workers=0, seed=0)
    data.setup()
    if data.skipped:
        log.warning("%d faults were skipped, the first: %s", len(data.skipped), data.skipped[0])
    log.info("%s", line(write_shards(data, config["data"], out, config["shard_mb"]), out))


def line(made: "Manifest", out: Path) -> str:
    """The line that trains on shards.

    Example:
        >>> from tandem.data.shards.manifest import Manifest
        >>> from tandem.data.targets import NO_MASKS
        >>> line(Manifest("a", ("x", "y"), 1, NO_MASKS, (64, 64), {}, {}, fit="pad"), Path("my shards"))
        "tandem-train data=streamed 'data.root=my shards' data.size=64 data.fit=pad"
    """
    from tandem.utils.commands import spelled

    words = {"size": made.size[0], "fit": made.fit, "background": made.background, "window": made.window}
    usual = {"fit": "squash", "background": "black", "window": None}
    typed = [f"data.{key}={value}" for key, value in words.items() if key not in usual or value != usual[key]]
    return " ".join([spelled("train"), *map(shlex.quote, ["data=streamed", f"data.root={out}", *typed])])
