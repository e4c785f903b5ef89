"""The notebook's composition root: `start()` and what it gives."""
