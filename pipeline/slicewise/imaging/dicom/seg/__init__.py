"""DICOM SEG: a label map out as segments that refer to their source, and back."""
