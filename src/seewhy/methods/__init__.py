"""One file for each method: a function from a Capture to maps."""
