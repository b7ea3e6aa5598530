"""Point-in-time features: declared once (`definition`), computed by the same `kernels` everywhere.

Around these stand three plans: `batch.compute` for whole tables, `state.micro_batch` for the stream
over what it remembers, `state.single` for single transactions without Spark. `table.build` writes
the table `features`; `oracle` says every definition once more, for tests.
"""
