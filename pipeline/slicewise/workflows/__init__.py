"""Use cases, one module each: they take typed options, return a result, and print nothing."""
