"""What people look at: plots, the HTML of a review, pages on a terminal."""
