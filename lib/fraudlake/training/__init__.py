"""From features and labels to a registered model: split in time, fits on many tasks, measures."""
