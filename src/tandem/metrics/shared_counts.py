"""Metrics that count the same, such as precision and recall of lesions, count it once."""

from collections.abc import Hashable, Mapping

from torchmetrics import Metric


def counts_key(metric: Metric) -> Hashable:
    """What the counts of a metric depend on: equal keys, equal counts. None: it shares them with no other metric.

    A metric that can share its counts has a method `counts_key`, which returns the options that `update` reads. A
    subclass with an `update` of its own counts something else.
    """
    own = getattr(metric, "counts_key", None)
    return None if own is None else (type(metric).update, own())


def first_of_each(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """For each metric by name, the name of the first one with the same counts, which may be its own.

    Example:
        >>> from torchmetrics import MeanMetric
        >>> from tandem.metrics import BinnedAUROC, BinnedAveragePrecision
        >>> first_of_each({"auroc": BinnedAUROC(), "ap": BinnedAveragePrecision(), "mean": MeanMetric()})
        {'auroc': 'auroc', 'ap': 'auroc', 'mean': 'mean'}
    """
    firsts: dict[Hashable, str] = {}
    keys = {name: counts_key(metric) for name, metric in metrics.items()}
    return {name: name if key is None else firsts.setdefault(key, name) for name, key in keys.items()}


def take_counts(metric: Metric, counted: Metric) -> None:
    """Gives a metric the counts of another one with the same key, so that it can compute its value."""
    for state in counted.metric_state:
        setattr(metric, state, getattr(counted, state))
    metric._update_count = counted.update_count  # torchmetrics has no other way to set it
