"""Colours of pages, figures and images: those that colour-blind readers can tell apart, in one place.

Lines have the colours of Okabe and Ito, "Color Universal Design" (2008), without yellow, which is too pale on white.
The tests simulate protanopia, deuteranopia and tritanopia (Machado et al., 2009).
"""

RGB = tuple[int, int, int]

HIT: RGB = (40, 120, 255)
MISS: RGB = (255, 180, 0)
FALSE: RGB = (230, 30, 150)
UNKNOWN: RGB = (90, 90, 90)

ERRORS = "blue: true positive, orange: false negative, magenta: false positive, grey: no truth"
"""What the colours of the errors mean, in words."""

LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a")
"""Colours of lines, in order."""

BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, GREY = LINES
"""The same by name."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
"""Dashes of a chart's lines, in plotly's words; they change with each line, so that no line is told by colour alone."""

STYLES = ("-", "--", ":", "-.", (0, (9, 3)))
"""The same in matplotlib's."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Markers of figures, in order."""


def rgb(index: int) -> RGB:
    """The colour of a class or channel on images; after the last one they begin again."""
    code = colour(index)
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def colour(index: int) -> str:
    """The colour of a line; after the last one they begin again."""
    return LINES[index % len(LINES)]


def style(index: int) -> str | tuple[int, tuple[int, int]]:
    """The dashes of a figure's line; after the last ones they begin again."""
    return STYLES[index % len(STYLES)]


def marker(index: int) -> str:
    """The marker of a line; after the last one they begin again."""
    return MARKERS[index % len(MARKERS)]
