"""Raw files → typed transactions, labels, and a quarantine for what is neither."""

from fraudlake.ingest.pipeline import ingest

__all__ = ["ingest"]
