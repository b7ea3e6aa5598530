"""What a stream remembers, and the windows of new transactions over it."""
