"""The command: reads the data, skips what cannot be read, writes a page and tables."""

import logging
from collections.abc import Mapping
from typing import Any

from tandem.errors import ConfigError

log = logging.getLogger(__name__)


def main() -> None:
    """The command of `scripts/audit_data.py`."""
    from tandem.cli import run_tool

    run_tool(audit_job, "audit_data")


def audit_job(config: Mapping[str, Any]) -> None:
    """Audits a data set, writes the files, and prints tables, remarks and the path of the page.

    Args:
        config: the resolved configuration of `conf/audit_data.yaml`.

    Raises:
        ConfigError: a number is out of range.
        DataError: nothing can be read, or the data cannot be split.
    """
    _check(config)
    from tandem.audit.audit import audit
    from tandem.audit.report.terminal import print_audit
    from tandem.audit.report.writer import PAGE, write_audit
    from tandem.config.instantiate import build
    from tandem.utils.outputs import named
    from tandem.utils.written import writing

    source, out = build(skipping(config["data"]), "data"), named(config)
    with writing(out, "audit_data", config["overwrite"], PAGE):
        splits = source.load()
        found = audit(source, splits, config["distance"], config["correlation"], config["compare_up_to"])
        print_audit(found, write_audit(found, splits, out, config["images"]))


def skipping(data: Mapping[str, Any]) -> dict[str, Any]:
    """Sets `on_error: skip` in the configuration of the data, or of each source of mixed data, if it has `on_error`.

    An overlap of splits is allowed likewise: the audit reports it.

    Example:
        >>> skipping({"root": "x", "on_error": "fail"})
        {'root': 'x', 'on_error': 'skip'}
    """
    changed = {**data, "on_error": "skip"} if "on_error" in data else dict(data)
    if "allow_overlap" in data:
        changed["allow_overlap"] = True
    if isinstance(sources := data.get("sources"), Mapping):
        changed["sources"] = {name: skipping(source) for name, source in sources.items()}
    return changed


def _check(config: Mapping[str, Any]) -> None:
    distance = config["distance"]
    if distance is not None and not 0 <= distance <= 256:
        raise ConfigError(f"distance is {distance}, but must lie in 0 to 256, or be null")
    if not -1 <= config["correlation"] <= 1:
        raise ConfigError(f"correlation is {config['correlation']}, but must lie in -1 to 1")
    if config["compare_up_to"] < 0:
        raise ConfigError(f"compare_up_to is {config['compare_up_to']}, but must be a number of images from 0")
    if not 0 <= config["images"] <= 1000:
        raise ConfigError(f"images is {config['images']}, but must lie in 0 to 1000")
