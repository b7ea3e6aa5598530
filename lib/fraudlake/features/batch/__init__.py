"""The batch plan: one shuffle for each entity, around the kernels."""
