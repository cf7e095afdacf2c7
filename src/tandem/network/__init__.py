"""The shared network: backbone and decoder, one pass for all tasks."""

from tandem.network.decoder import MakeDecoder
from tandem.network.features import FeatureChannels, Features
from tandem.network.make import make_network
from tandem.network.network import Network
from tandem.network.protocol import SharedNetwork

__all__ = ["FeatureChannels", "Features", "MakeDecoder", "Network", "SharedNetwork", "make_network"]
