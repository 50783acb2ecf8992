"""From sources to wheels, and the store that keeps them."""
