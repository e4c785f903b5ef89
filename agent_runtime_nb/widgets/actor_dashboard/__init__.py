"""The dashboard: what every actor of a runtime is doing, in one table.

Nothing is imported here: a widget class reads its built bundle when it is defined.
"""
