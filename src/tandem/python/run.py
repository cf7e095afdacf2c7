"""A run's folder in Python: its state, and what it has left, read when it is asked for."""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.errors import ConfigError, DataError
from tandem.metrics.stored import read_quantities
from tandem.python.figures import Figures
from tandem.python.html import page, rows, table
from tandem.python.table import Table, read_table
from tandem.reports.metrics_table import read_metrics
from tandem.reports.run_report import REPORT, history_figures
from tandem.reports.table import result_groups
from tandem.runs.folders import FINISHED, FolderState, state_of
from tandem.utils.artifacts import METRICS, RESULTS, check_schema
from tandem.utils.digests import read_artifact

if TYPE_CHECKING:
    from tandem.predict.predictor import Predictor


class Run:
    """A run, as `tandem.fit` and `tandem.find_runs` return it. Files are read when they are asked for.

    Args:
        folder: of the run.

    Attributes:
        folder: of the run, absolute.

    Example:
        >>> def example(folder: str) -> None:
        ...     run = Run(folder)
        ...     print(run.metrics["val/segmentation/dice"], run.history["train/loss"], run.load().predict("image.png"))
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()

    def __fspath__(self) -> str:
        """The folder, so that a run can stand wherever a path does: `tandem.load(run)`, `tandem.load(runs)`."""
        return str(self.folder)

    def __repr__(self) -> str:
        return f"<Run {self.folder.parent.name}/{self.folder.name}: {self.state}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.folder.resolve() == other.folder.resolve()

    def __hash__(self) -> int:
        return hash(self.folder.resolve())

    @property
    def state(self) -> FolderState:
        """`finished`, `failed`, `interrupted`, `running`, ...: `str(run.state)`, or `run.state.state` and `.reason`."""
        return state_of(self.folder)

    @cached_property
    def results(self) -> Mapping[str, Any]:
        """The content of `results.json`.

        Raises:
            ConfigError: the run is not finished.
            DataError: the file is damaged, or was written by a later tandem.
        """
        if (state := self.state).state != FINISHED:
            raise ConfigError(f"{self.folder} is no finished run ({state}); rerun its command, or fit it again")
        results: dict[str, Any] = read_artifact(self.folder / RESULTS)
        check_schema(results.get("schema"), self.folder / RESULTS)
        return results

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        config: Mapping[str, Any] = self.results["config"]
        return config

    @property
    def overrides(self) -> tuple[str, ...]:
        """What was typed for it; empty where that is not known."""
        from tandem.jobs.status import read_status

        typed = read_status(self.folder).get("overrides")
        return tuple(map(str, typed)) if isinstance(typed, list) else ()

    @property
    def name(self) -> str:
        """The name that the run was given."""
        return str(self.results["name"])

    @property
    def hash(self) -> str:
        """Names the run: twelve hex digits of every option that can change a number."""
        return str(self.results["hash"])

    @property
    def metrics(self) -> dict[str, float]:
        """The best checkpoint's numbers on validation and test data, by logged name; nan where one is not defined."""
        found: Mapping[str, float | None] = self.results["metrics"]
        return {key: float("nan") if value is None else float(value) for key, value in found.items()}

    @property
    def thresholds(self) -> Mapping[str, Sequence[float]]:
        """The stored thresholds of each task's channels, chosen on validation data."""
        thresholds: Mapping[str, Sequence[float]] = self.results["thresholds"]
        return thresholds

    @property
    def history(self) -> Table:
        """One row for each epoch, one column for each logged value; also of a run that is not finished."""
        if not (self.folder / METRICS).exists():
            return Table({}, "no epoch yet")
        return read_table(self.folder / METRICS, "history")

    @property
    def curves(self) -> dict[str, Table]:
        """Dice (or F1, sensitivity, specificity) over thresholds, by split and task, such as `val/segmentation`."""
        return {place: Table(_numbers(curve), place) for place, curve in self.results["curves"].items()}

    def predictions(self, split: str = "test") -> Table:
        """One row for each image of an evaluated split: its id, target, prediction, Dice and further values.

        Args:
            split: `test`, `val` or `train`.

        Raises:
            DataError: the split was not evaluated yet.
        """
        path = self.folder / "evaluation" / split / "images.csv"
        if not path.exists():
            raise DataError(f"there is no {path}; evaluate the split with run.evaluate({split!r})")
        return read_table(path, f"{split}: predictions")

    def evaluate(self, split: str | None = "test", **options: Any) -> Mapping[str, Any]:
        """Evaluates the best checkpoint as `evaluate.py` does, and writes the same files.

        Args:
            split: `test`, `val` or `train`; None: test, or all images of another set.
            options: of `conf/evaluate.yaml`, such as `masks=False`, `page=False` or `threshold=0.5`. `data` with a
                `_target_`, as in `conf/data`, is another set to test on.

        Returns:
            The content of `metrics.json`: metrics with intervals, thresholds, provenance.

        Raises:
            ConfigError: the run is not finished, or an option is unknown or not allowed.
            DataError: the data cannot be read, or differ from the data of the run.
        """
        from tandem.evaluate.command import evaluate_run
        from tandem.evaluate.settings import read_settings
        from tandem.python.config import tool_options
        from tandem.utils.lazy_imports import load_libraries

        other = options.pop("data") if "_target_" in (options.get("data") or {}) else None
        plain = tool_options("evaluate", {"run": str(self.folder), "split": split, **options})
        settings = read_settings(plain if other is None else {**plain, "data": dict(other)})
        load_libraries()
        return evaluate_run(settings)

    @property
    def figures(self) -> Figures:
        """Learning curves, Dice against threshold, and the cases of the report; each is drawn when it is looked up."""
        best = self.results["best_epoch"]
        lines = read_metrics(self.folder / METRICS)
        makers: dict[str, Callable[[], bytes]] = {}
        if lines:
            makers |= {caption: partial(_drawn, lines, best, caption) for caption in ("loss", "validation scores")}
        makers |= {
            place: partial(_sweep, curve, self.results["metrics"].get(f"{place}/threshold"))
            for place, curve in self.results["curves"].items()
        }
        makers |= {f"panels/{path.stem}": path.read_bytes for path in sorted((self.folder / "panels").glob("*.png"))}
        return Figures(makers)

    @property
    def report(self) -> Path:
        """The run's page, to be opened in a browser."""
        return self.folder / REPORT

    def load(self, flips: bool = False, device: str = "auto", data: Mapping[str, Any] | None = None) -> "Predictor":
        """The trained networks for prediction; arguments and errors are those of `tandem.load`."""
        from tandem.predict.predictor import load

        return load(self.folder, flips, device, data)

    def _repr_html_(self) -> str:
        state = self.state
        facts = {"state": state, "folder": self.folder, "overrides": " ".join(self.overrides) or "unknown"}
        if state.state != FINISHED:
            return page(repr(self), rows(facts))
        best = f"{self.results['best_epoch']} by {self.results['monitor']}"
        groups = result_groups(self.results["metrics"], self.config["tasks"], read_quantities(self.results))
        body = [
            (task, group, one.label, one.text(val), one.text(test))
            for task, group, found in groups
            for one, val, test in found
        ]
        shown = table(("task", "images", "metric", "val", "test"), body)
        return page(f"{self.name} {self.hash}", rows({**facts, "best epoch": best}), shown)


def _numbers(curve: Mapping[str, Sequence[float | None]]) -> dict[str, list[float]]:
    return {key: [float("nan") if value is None else value for value in values] for key, values in curve.items()}


def _drawn(lines: Sequence[Mapping[str, str]], best: int, caption: str) -> bytes:
    buffer = io.BytesIO()
    dict(history_figures(lines, best))[caption].savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _sweep(curve: Mapping[str, Sequence[float]], chosen: float | None) -> bytes:
    from tandem.reports.figures import sweep_png

    return sweep_png(curve, chosen)
