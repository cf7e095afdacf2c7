"""Figures of a run as images that a notebook shows; each is drawn or read when it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tandem.python.html import page


@dataclass(frozen=True)
class FigureImage:
    """A figure as an image; the last line of a notebook's cell shows it.

    Attributes:
        name: what it shows.
        png: the file's content.
    """

    name: str
    png: bytes

    def __repr__(self) -> str:
        return f"<FigureImage {self.name}: {len(self.png)} bytes of PNG>"

    def save(self, path: str | Path) -> Path:
        """Writes the PNG file, and returns its path."""
        path = Path(path).expanduser()
        path.write_bytes(self.png)
        return path

    def _repr_png_(self) -> bytes:
        return self.png


class Figures(Mapping[str, FigureImage]):
    """FigureImages by name; `figures["loss"]` draws one.

    Args:
        makers: what returns the PNG file, by name.
    """

    def __init__(self, makers: Mapping[str, Callable[[], bytes]]) -> None:
        self._makers = dict(makers)

    def __getitem__(self, name: str) -> FigureImage:
        return FigureImage(name, self._makers[name]())

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return f"<Figures: {', '.join(self)}>"

    def _repr_html_(self) -> str:
        from tandem.reports.page import image

        return (
            page("figures", *(image(one.png, name, "plot") for name, one in self.items()))
            if self
            else escape(repr(self))
        )
