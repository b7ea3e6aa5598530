"""Unknown raw files: what is in them, and the data set's YAML that reads them."""
