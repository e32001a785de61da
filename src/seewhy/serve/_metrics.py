"""What Prometheus reads at /metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The numbers of one app, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "seewhy_requests", "Requests that were answered.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram("seewhy_request_seconds", "From request to answer.", ("route",), registry=registry)
        self.photos = Counter("seewhy_photos", "Photos that were explained.", ("model", "method"), registry=registry)
        self.waiting = Gauge("seewhy_photos_waiting", "Photos accepted and not yet answered.", registry=registry)
        self.batch_photos = Histogram(
            "seewhy_batch_photos",
            "Photos explained together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.running = 0
        Gauge("seewhy_requests_running", "Requests of the API being answered.", registry=registry).set_function(
            lambda: self.running
        )
        self.batch_seconds = Histogram("seewhy_batch_seconds", "The model's time for a batch.", registry=registry)

    def text(self) -> bytes:
        return generate_latest(self.registry)
