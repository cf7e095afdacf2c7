"""Whether the data that a command line names can be read."""

from collections.abc import Mapping
from typing import Any

from tandem.doctor.section import Line, Section
from tandem.errors import TandemError


def data(node: Mapping[str, Any]) -> Section:
    """Reads the data and returns the rows of each split, or what is wrong with them.

    Args:
        node: `data` of the configuration.
    """
    from tandem.config.instantiate import build
    from tandem.data.samples import describe_split

    place = str(node.get("root") or node.get("file") or "from a formula")
    try:
        source = build(node, "data")
        splits = source.load()
    except (TandemError, OSError) as error:
        return Section("data", [Line(place, "", " ".join(str(error).split()))])
    rows = [Line(split, describe_split(split, samples, source.classes)) for split, samples in splits.items()]
    return Section("data", [Line("place", place), *rows])
