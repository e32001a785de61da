"""One file for each target: what a user can ask about."""
