"""One file for each framework, fulfilling seewhy.types.Adapter."""
