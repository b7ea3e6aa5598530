"""Isolation forests, which need no labels."""
