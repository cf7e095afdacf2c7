"""Backbone and decoder: one pass serves all tasks."""

from tandem.network.features import FeatureChannels, Features
from tandem.network.make import make_network
from tandem.network.network import Network

__all__ = ["FeatureChannels", "Features", "Network", "make_network"]
