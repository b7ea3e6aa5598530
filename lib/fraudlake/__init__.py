"""Point-in-time features, distributed training and exactly-once scoring of payments on Spark."""

__version__ = "0.1.0"
