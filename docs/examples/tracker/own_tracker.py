"""A tracker: one text file with everything that it is given."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.trackers import Tracker


class Diary(Tracker):
    """Writes a line for each call.

    Args:
        file: where the lines go.
    """

    name = "diary"
    version = ""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = Path(file)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Numbers of a step."""
        self._write(f"{step} {sorted(metrics)}")

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The settings."""
        self._write(f"settings {len(vars(params) if isinstance(params, Namespace) else params)}")

    def text(self, name: str, text: str, step: int) -> None:
        """A text."""
        self._write(f"text {name}")

    def image(self, name: str, image: Any, step: int) -> None:
        """An image."""
        self._write(f"image {name} {image.shape}")

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """The best checkpoint."""
        self._write(f"summary {checkpoint}")

    def finish(self, failed: bool, step: int) -> None:
        """The end."""
        self._write(f"finished {not failed}")

    def _write(self, line: str) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
