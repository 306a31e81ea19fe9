"""Reports, the page of the data check, the viewer, charts and figures."""
