"""From named task losses to the one number that is minimised, or to the step that serves all tasks."""

from tandem.balance.balance import Balance
from tandem.balance.bargain import IMTLG, MGDA, CAGrad, NashMTL
from tandem.balance.dwa import DWA
from tandem.balance.famo import FAMO
from tandem.balance.fixed import FixedWeights
from tandem.balance.geometric import Geometric
from tandem.balance.gradnorm import GradNorm
from tandem.balance.rlw import RLW
from tandem.balance.surgery import AlignedMTL, PCGrad, UPGrad
from tandem.balance.torchjd import TorchJD
from tandem.balance.uncertainty import Uncertainty

__all__ = [
    "DWA",
    "FAMO",
    "IMTLG",
    "MGDA",
    "RLW",
    "AlignedMTL",
    "Balance",
    "CAGrad",
    "FixedWeights",
    "Geometric",
    "GradNorm",
    "NashMTL",
    "PCGrad",
    "TorchJD",
    "UPGrad",
    "Uncertainty",
]
