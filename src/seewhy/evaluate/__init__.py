"""Measure explanations: which method, which layer, and whether the map follows the model at all."""
