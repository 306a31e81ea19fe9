"""Reading and writing of scans and masks: NIfTI, DICOM, NRRD and pictures, with geometry."""
