"""The public functions: use cases with plain arguments; ``import slicewise`` offers them."""
