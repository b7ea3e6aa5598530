"""From text to the value of a type, as a data set says it is written: twice, alike.

Ingest and stream read by expressions of Spark, `serve` by Python (`single`).
"""
