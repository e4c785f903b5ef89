"""The storages, one backend each; import the one that is meant."""
