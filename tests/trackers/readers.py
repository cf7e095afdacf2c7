"""Reads a run with each tracker's own reader."""

import csv
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Seen:
    """A run as a tracker's own reader finds it: values and images by name and step, the rest as it is."""

    scalars: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    images: set[tuple[str, int]] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    status: str = ""

    def add(self, name: str, step: int, value: float) -> None:
        """Adds a number."""
        self.scalars.setdefault(name, []).append((step, value))


def typed(seen: Seen) -> set[str]:
    """Settings that are logged again as typed."""
    return {name.removeprefix("overrides.") for name in seen.config if name.startswith("overrides.")}


def computed(seen: Seen) -> set[str]:
    """Settings that were computed from the data."""
    return {name for name in seen.config if name.startswith("computed.")}


def in_table(text: str) -> dict[str, Any]:
    """Results by their logged names, of a Markdown table with a column for each stage."""
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return {
        f"best/{stage}/{name}": float(value)
        for name, *values in lines
        for stage, value in zip(head[1:], values, strict=True)
        if value
    }


def seen_in_csv(folder: Path) -> Seen:
    """By the csv and json modules."""
    seen, home = Seen(), folder / "csv"
    with (home / "scalars.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            seen.add(row["name"], int(row["step"]), float(row["value"]))
    with (home / "texts.csv").open(newline="") as file:
        seen.texts = {row["name"]: row["text"] for row in csv.DictReader(file)}
    for path in home.glob("images/*"):
        name, _, step = path.stem.rpartition("-")
        seen.images.add((name, int(step)))
    seen.config = json.loads((home / "config.json").read_text())
    if (home / "summary.json").exists():
        seen.summary = json.loads((home / "summary.json").read_text())
    seen.status = seen.texts["status"]
    return seen


def seen_in_tensorboard(folder: Path) -> Seen:
    """By TensorBoard's accumulator and its HParams plugin."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    (home,) = {path.parent for path in (folder / "tensorboard").rglob("events.out.tfevents.*")}
    events = EventAccumulator(str(home), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    events.Reload()
    seen = Seen()
    for name in events.Tags()["scalars"]:
        for entry in events.Scalars(name):
            seen.add(name, entry.step, entry.value)
    for name in events.Tags()["images"]:
        seen.images |= {(name, entry.step) for entry in events.Images(name)}
    for name in events.Tags()["tensors"]:
        seen.texts[name.removesuffix("/text_summary")] = events.Tensors(name)[-1].tensor_proto.string_val[0].decode()
    lines = seen.texts["config"].splitlines()
    seen.config = {name: json.loads(value) for name, _, value in (line.strip().partition(": ") for line in lines)}
    if metadata.SESSION_START_INFO_TAG in events.summary_metadata:
        content = events.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
        shown = {str(name) for name in metadata.parse_session_start_info_plugin_data(content).hparams}
        told = {f"{name.removeprefix('computed.')} (computed)" for name in computed(seen)}
        assert shown == typed(seen) | told, "the table is of what was typed, and computed"
        seen.summary = in_table(seen.texts["results"])
        seen.summary["checkpoint"] = seen.texts["checkpoint"]
    seen.status = seen.texts["status"]
    return seen


def seen_in_wandb(folder: Path) -> Seen:
    """By `wandb leet inspect`."""
    (log,) = folder.glob("wandb/offline-run-*/*.wandb")
    tool = Path(sys.executable).with_name("wandb")
    done = subprocess.run([tool, "leet", "inspect", "--json", log], capture_output=True, text=True, check=True)
    seen = Seen()
    for record in map(json.loads, done.stdout.splitlines()):
        content = record.get(record["type"])
        if record["type"] == "run":
            seen.config = {key: value for key, value in content["config"]["update"].items() if key != "_wandb"}
        if record["type"] == "history":
            _add_wandb_row(seen, content["item"])
        if record["type"] == "summary":
            seen.summary |= content["update"]
        if record["type"] == "exit":
            seen.status = {0: "finished"}.get(content.get("exit_code", 0), "failed")
    assert seen.summary["status"] == seen.status
    return seen


def _add_wandb_row(seen: Seen, row: dict[str, Any]) -> None:
    step = row["trainer/global_step"]
    media = {name.removesuffix("._type"): value for name, value in row.items() if name.endswith("._type")}
    seen.images |= {(name, step) for name, kind in media.items() if kind == "image-file"}
    for name, value in row.items():
        if isinstance(value, int | float | str) and name.rpartition(".")[0] not in media and not name.startswith("_"):
            seen.add(name, step, float(value))  # float also of "NaN"


def mlflow_client(database: Path) -> Any:
    """MLflow's own, which sets up its tables once in a process, with a warning about itself."""
    from mlflow import MlflowClient

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*``noload`` loader strategy is deprecated.*")
        return MlflowClient(f"sqlite:///{database}")


def seen_in_mlflow(folder: Path) -> Seen:
    """By MLflow's client."""
    client = mlflow_client(folder.parents[1] / "mlflow.db")
    home = client.get_experiment_by_name(folder.parent.name)
    (run,) = [run for run in client.search_runs([home.experiment_id]) if run.data.tags["hash"] == folder.name]
    seen = Seen(texts=dict(run.data.tags), status=run.info.status.lower())
    seen.config = json.loads(Path(client.download_artifacts(run.info.run_id, "config.json")).read_text())
    told = {name.replace("@", "_") for name in typed(seen) | computed(seen)}
    assert told == run.data.params.keys() or not typed(seen)
    for name in run.data.metrics:
        for entry in client.get_metric_history(run.info.run_id, name):
            seen.add(name, entry.step, entry.value)
    for artifact in client.list_artifacts(run.info.run_id, "images"):
        name, _, step, *_ = Path(artifact.path).name.split("+")
        seen.images.add((name.replace("~", "/"), int(step)))
    if "results.json" in {artifact.path for artifact in client.list_artifacts(run.info.run_id)}:
        seen.summary = json.loads(Path(client.download_artifacts(run.info.run_id, "results.json")).read_text())
    seen.summary["checkpoint"] = seen.texts.get("checkpoint")
    return seen


def seen_in_trackio(folder: Path) -> Seen:
    """By Trackio's interface."""
    import trackio

    name = f"{folder.parent.name}-{folder.name}"
    (run,) = [run for run in trackio.Api().runs("tandem") if run.name == name]
    seen = Seen(config={key: value for key, value in (run.config or {}).items() if not key.startswith("_")})
    for row in trackio.SQLiteStorage.get_logs("tandem", name):
        step = row["step"]
        for key, value in row.items():
            if isinstance(value, dict) and value["_type"] == "trackio.image":
                seen.images.add((key, step))
            elif isinstance(value, dict):
                seen.texts[key] = value["_value"]
            elif key not in ("step", "timestamp"):
                seen.add(key, step, float(value))
    seen.summary = {name: values[-1][1] for name, values in seen.scalars.items() if name.startswith("best/")}
    seen.summary["checkpoint"] = seen.texts.get("checkpoint")
    seen.status = seen.texts["status"]
    assert seen.status != "failed" or [alert["title"] for alert in run.alerts()] == ["failed"]
    return seen


READERS: dict[str, Callable[[Path], Seen]] = {
    "csv": seen_in_csv,
    "tensorboard": seen_in_tensorboard,
    "wandb": seen_in_wandb,
    "mlflow": seen_in_mlflow,
    "trackio": seen_in_trackio,
}
