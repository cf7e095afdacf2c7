"""From named task losses to one scalar to minimise, or to one gradient for what the tasks share."""

from tandem.balance.aligned_mtl import AlignedMTL
from tandem.balance.balance import Balance
from tandem.balance.cagrad import CAGrad
from tandem.balance.dwa import DWA
from tandem.balance.famo import FAMO
from tandem.balance.fixed import FixedWeights
from tandem.balance.geometric import Geometric
from tandem.balance.gradnorm import GradNorm
from tandem.balance.imtl_g import IMTLG
from tandem.balance.mgda import MGDA
from tandem.balance.nash import NashMTL
from tandem.balance.pcgrad import PCGrad
from tandem.balance.rlw import RLW
from tandem.balance.torchjd import TorchJD
from tandem.balance.uncertainty import Uncertainty
from tandem.balance.upgrad import UPGrad

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
