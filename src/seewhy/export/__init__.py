"""Models that carry their own explanation."""
