"""How checkpoints are written and read: atomically, beside their place, and compared with their digest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO

from tandem.utils.digests import check_intact
from tandem.utils.files import write_whole


class CheckpointFiles(CheckpointIO):
    """Lightning's own writes through `$TMPDIR`, which may be full, or on another file system than the run."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes a checkpoint.

        Raises:
            OSError: the folder cannot be written, or is full; the old checkpoint stays.
        """
        write_whole(Path(path), lambda file: torch.save(checkpoint, file))

    def load_checkpoint(
        self, path: Any, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint, without pickle.

        Raises:
            DamagedError: it is not as it was written.
        """
        check_intact(Path(path))
        found: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        return found

    def remove_checkpoint(self, path: Any) -> None:
        """Removes a checkpoint."""
        Path(path).unlink(missing_ok=True)
