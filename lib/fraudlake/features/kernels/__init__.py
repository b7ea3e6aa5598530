"""Windows over events in NumPy: no Spark, no Delta, no loop over events or entities."""
