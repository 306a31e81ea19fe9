"""Plans a configuration for a labelled data set, with reasons and an estimate of its cost."""
