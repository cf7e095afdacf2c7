"""Loss of findings: several yes/no questions about an image."""

import statistics

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.tasks import clear_findings

RARE = 10.0
"""Images without a finding for each one with it, from which easy negatives count less."""


def choose(found: Fingerprint) -> Choice:
    """The asymmetric loss for rare findings."""
    clear = clear_findings(found)
    if not clear:
        return Choice("no findings are learnt")
    ratio = statistics.median(found.findings[name][1] / yes for name, yes in clear.items())
    said = f"the median finding has {ratio:.3g} images without it for each one with it"
    if ratio < RARE:
        return Choice(f"{said}, below {RARE:g}")
    return Choice(said, groups={"loss/binary@tasks.multilabel.loss": "asymmetric"})


RULE = Rule(
    question="loss of findings",
    place=92,
    source="asymmetric loss (Ridnik et al. 2021)",
    range="bce, asymmetric",
    choose=choose,
)
