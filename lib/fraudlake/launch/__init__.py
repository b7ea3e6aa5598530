"""Runs code on many tasks at once: a launcher a file, and the files that its ranks read."""
