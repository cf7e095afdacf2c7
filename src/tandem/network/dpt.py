"""The dense prediction transformer's decoder on the tokens of a plain vision transformer."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tandem.network.pyramid import nominal_stride
from tandem.network.vision_transformer import PlainTransformer

PREFIX = "decoder_"
"""How names of a decoder's options begin in segmentation-models-pytorch."""


class TokenDecoder(nn.Module):
    """DPT's decoder of segmentation-models-pytorch, fed with the list that `PlainTransformer` returns.

    Source: Ranftl, Bochkovskiy and Koltun, Vision Transformers for Dense Prediction, 2021.

    Args:
        decoder: the library's decoder.
        blocks: how many blocks of the transformer it reads.
    """

    def __init__(self, decoder: nn.Module, blocks: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.blocks = blocks

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Maps image, tokens without a place (if any) and maps to one dense map."""
        maps, tokens = levels[-self.blocks :], levels[1 : -self.blocks]
        return torch.as_tensor(self.decoder(maps, tokens or [None] * self.blocks))


def make_token_decoder(encoder: PlainTransformer, options: Mapping[str, Any]) -> tuple[nn.Module, int]:
    """Makes the decoder for a transformer, and returns it with the channels of its output.

    Args:
        encoder: with the tokens of at least one block.
        options: `decoder_readout`, `decoder_intermediate_channels` and `decoder_fusion_channels`, as the library has
            them.

    Raises:
        TypeError, ValueError: if the options do not fit.
    """
    from segmentation_models_pytorch.base.initialization import initialize_decoder
    from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder

    blocks = len(encoder.indices)
    decoder = DPTDecoder(
        encoder_out_channels=[encoder.width] * blocks,
        encoder_output_strides=[nominal_stride(encoder.patch)] * blocks,
        encoder_has_prefix_tokens=encoder.tokens,
        **{key.removeprefix(PREFIX): value for key, value in options.items()},
    )
    initialize_decoder(decoder)
    width = decoder.fusion_blocks[-1].project.out_channels
    return TokenDecoder(decoder, blocks), int(width)
