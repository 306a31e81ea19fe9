"""The synthetic demo cohort: subjects from the ICBM152 template, as NIfTI and DICOM."""
