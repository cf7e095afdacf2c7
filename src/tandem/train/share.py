"""How the processes of a run share its training steps."""

import logging
from collections.abc import Mapping
from typing import Any

from tandem.distributed.sync_batchnorm import convert_batchnorm
from tandem.module import MultiTaskModule
from tandem.tasks.by_rows import computed_by_rows

log = logging.getLogger(__name__)


def share_steps(settings: Mapping[str, Any], module: MultiTaskModule, gpu: bool) -> None:
    """Sets what each process computes the losses of, and over what batch normalisation has its statistics.

    Args:
        settings: `trainer` of the configuration, with `share` and `sync_batchnorm`.
        module: of the run.
        gpu: whether the devices are GPUs.
    """
    module.share = settings.get("share", "rows")
    if settings.get("sync_batchnorm", True):
        convert_batchnorm(module, gpu)
    else:
        log.info("trainer.sync_batchnorm=false: each process has batch statistics of its own, so their number counts")
    if module.share == "none":
        log.info("trainer.share=none: each process has losses of its own rows, so the number of processes counts")
    for name, task in module.tasks.items():
        if module.share == "rows" and not computed_by_rows(task):
            log.info("the loss of task '%s' is one of the whole batch, which every process gathers", name)
