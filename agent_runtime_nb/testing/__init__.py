"""What tests of actors and storages need; import from the modules in here."""
