"""Tests in a real browser; a package, so that they share one and it ends with them."""
