"""Point-in-time features: declared once (`definition`), computed by the same kernels everywhere.

`compute.compute` is what batch and stream call; `build.build` writes the table `features`.
"""
