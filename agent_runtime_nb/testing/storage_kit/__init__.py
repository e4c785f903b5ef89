"""The storage contract, to be run on any backend: with pytest or without."""
