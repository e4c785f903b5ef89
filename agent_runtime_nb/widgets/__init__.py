"""The widgets: `chat_panel` and `actor_dashboard`, one anywidget class each.

Nothing is imported here: a widget class reads its built bundle when it is defined.
"""
