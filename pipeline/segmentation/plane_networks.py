"""A configuration in, its untrained networks out: one for the slices of all planes, or one each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, overload

from torch import nn

from pipeline.config import Config
from pipeline.dataset.plane import PLANES
from pipeline.segmentation.unet import UNet


class PlaneNetworks(nn.Module):
    """Networks of one shape, each of which sees the slices of one plane.

    Its parameters carry the plane before the name that they have in a ``UNet``:
    ``networks.coronal.downs.0.conv.0.weight``.

    Args:
        networks: sagittal, coronal and axial, in the order of ``PLANES``.
    """

    def __init__(self, networks: Sequence[UNet]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(dict(zip(PLANES, networks, strict=True)))

    def of_plane(self, plane: str) -> UNet:
        """The network that sees the slices of a plane."""
        return cast(UNet, self.networks[plane])


SliceNetwork = UNet | PlaneNetworks
"""What maps slices to logits; see ``network_of``."""


def build_network(config: Config) -> SliceNetwork:
    """Build what a configuration describes, with random weights from torch's generator."""
    if not config.network.per_plane:
        return UNet.from_config(config)
    return PlaneNetworks([UNet.from_config(config) for _ in PLANES])


@overload
def network_of(network: SliceNetwork, view: int) -> UNet: ...
@overload
def network_of(network: nn.Module, view: int) -> nn.Module: ...
def network_of(network: nn.Module, view: int) -> nn.Module:
    """The network that slices of a view are shown to, one for all or the one of its plane.

    Args:
        network: of one or of several planes.
        view: which of ``view_axes`` or ``stack_axes`` the slices lie across.
    """
    return network.of_plane(PLANES[view]) if isinstance(network, PlaneNetworks) else network
