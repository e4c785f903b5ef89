"""What tests of actors and storages need; import from the modules in here.

- `storage_conformance`, `storage_check`: the storage contract as a class of tests, and
  without pytest.
- `simulated_loop`: an asyncio loop whose time is virtual; a seed decides its order.
- `faulty_storage` (with the faults of `faults`) and `faulty_model`: what goes wrong
  outside, on purpose.
- `leaks`, and `fixtures` for pytest: whether a piece of work left something behind.
"""
