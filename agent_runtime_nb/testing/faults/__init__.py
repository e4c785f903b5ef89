"""What goes wrong outside, on purpose: storages and models that have bad days."""
