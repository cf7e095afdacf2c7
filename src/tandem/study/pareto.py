"""Which points no other point beats in everything."""

import math
from collections.abc import Sequence


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that are not dominated, from the lowest first coordinate to the highest.

    A point is dominated if another one is at least as high in both coordinates and higher in one. Equal points are both
    kept; a point with a nan is not.

    Args:
        points: (x, y), both wanted high.

    Example:
        >>> pareto([(1, 3), (2, 2), (1, 1), (3, 1)])
        [0, 1, 3]
    """
    known = [index for index, point in enumerate(points) if not any(map(math.isnan, point))]
    order = sorted(known, key=lambda index: points[index], reverse=True)
    front: list[int] = []
    for index in order:
        last = points[front[-1]] if front else (math.inf, -math.inf)
        if points[index][1] > last[1] or points[index] == last:
            front.append(index)
    return front[::-1]
