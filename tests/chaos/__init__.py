"""Real commands are disturbed at random moments; what they promise is checked: ``make chaos``."""
