"""One network, one loss and one augmentation for Slicewise."""
