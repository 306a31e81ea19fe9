"""Slicewise: scans in, slices through a 2D U-Net, masks out on the scan's own grid."""

__version__ = "0.1.0"
