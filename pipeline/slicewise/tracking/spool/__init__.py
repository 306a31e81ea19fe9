"""What a run tells, kept on disk until the tracking store has it: nothing is lost."""
