"""The chat panel: one conversation with an agent, in a cell.

Nothing is imported here: a widget class reads its built bundle when it is defined.
"""
