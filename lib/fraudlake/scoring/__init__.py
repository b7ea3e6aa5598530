"""One scorer for batch and stream: scores, reasons, and the tables they go to."""
