"""Scans and masks: voxels with their place in the world, NIfTI and DICOM in and out."""
