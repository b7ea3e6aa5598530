"""Contenders, and what each becomes on disk and in memory: a bundle and a scorer."""
