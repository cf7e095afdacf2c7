"""Lightning's DDP strategy, adapted to frozen parts and unused heads."""

from typing import Any

from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy


class SharedSteps(DDPStrategy):
    """Lightning's `ddp`, for parts that are trained from some epoch on and heads that a step leaves unused.

    DDP never synchronises parameters that are frozen when training begins; these may be unfrozen in a later epoch.
    """

    def __init__(self) -> None:
        super().__init__(cluster_environment=LightningEnvironment(), find_unused_parameters=True)

    def configure_ddp(self) -> None:
        """Wrap the module with all of its parameters."""
        assert self.model is not None
        still = [parameter for parameter in self.model.parameters() if not parameter.requires_grad]
        for parameter in still:
            parameter.requires_grad_(True)
        super().configure_ddp()
        for parameter in still:
            parameter.requires_grad_(False)


def trainer_settings() -> dict[str, Any]:
    """Arguments of the trainer: the strategy, and no distributed sampler, since the loaders split each batch."""
    return {"strategy": SharedSteps(), "use_distributed_sampler": False}
