"""Rules that analysts write."""
