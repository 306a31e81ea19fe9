"""DICOM in and out: any folder of files to volumes; masks to DICOM SEG and back."""
