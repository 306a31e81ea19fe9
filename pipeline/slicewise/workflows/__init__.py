"""Use cases, one module each: typed options in, a result object out, nothing printed."""
