"""Lightning's DDP strategy, adapted to frozen parts and unused heads."""

from typing import Any

from pytorch_lightning.strategies import DDPStrategy

from tandem.distributed.world import environment, world


class SharedSteps(DDPStrategy):
    """Lightning's `ddp`, for parts that are trained from some epoch on and heads that a step leaves unused.

    DDP never synchronises parameters that are frozen when training begins; these may be unfrozen in a later epoch.
    """

    def __init__(self) -> None:
        super().__init__(cluster_environment=environment(), find_unused_parameters=True)

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
    """Arguments of the trainer: strategy and nodes; no distributed sampler, since the loaders split each batch."""
    nodes = world().size // world().here
    return {"strategy": SharedSteps(), "use_distributed_sampler": False, "num_nodes": nodes}


def device_setting(given: Any) -> Any:
    """`trainer.devices` for Lightning: a list of GPUs as it is given, or the number of processes of this machine."""
    return given if isinstance(given, list) else world().here
