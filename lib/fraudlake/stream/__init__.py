"""Scoring while transactions come in: micro-batches over a state that is kept between them."""
