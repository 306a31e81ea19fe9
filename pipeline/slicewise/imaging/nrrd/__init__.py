"""Reading of NRRD scans and segmentations, and writing of segmentations."""
