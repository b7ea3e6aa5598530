"""Scoring one transaction at a time, beside a stream, whose state is read."""
