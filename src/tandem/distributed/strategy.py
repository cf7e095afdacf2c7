"""How Lightning's trainer works in the process of one of several devices."""

from typing import Any

from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy


class SharedSteps(DDPStrategy):
    """Lightning's `ddp`, for parts that learn from some epoch on and heads that a step leaves unused.

    What has no gradient when training begins would never be shared; it may have one in a later epoch.
    """

    def __init__(self) -> None:
        super().__init__(cluster_environment=LightningEnvironment(), find_unused_parameters=True)

    def configure_ddp(self) -> None:
        """Wraps the module with all of its parameters."""
        assert self.model is not None
        still = [parameter for parameter in self.model.parameters() if not parameter.requires_grad]
        for parameter in still:
            parameter.requires_grad_(True)
        super().configure_ddp()
        for parameter in still:
            parameter.requires_grad_(False)


def trainer_settings() -> dict[str, Any]:
    """What the trainer is told: how steps are shared, and that the loaders give each device its part of a batch."""
    return {"strategy": SharedSteps(), "use_distributed_sampler": False}
