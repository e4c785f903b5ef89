"""What tests of actors and storages need; import from the modules in here.

- `storage_kit`: the storage contract, as a class of tests (`conformance`) and without
  pytest (`check`).
- `simulated_loop`: an asyncio loop whose time is virtual; a seed decides its order.
- `faults`: a storage and a model that go wrong, on purpose.
- `leaks`, and `fixtures` for pytest: whether a piece of work left something behind.
"""
