"""Any folder of scans in, cached slices and batches out."""
