"""Conversations as data: their entries, their files, their words made harmless.

entries.py        the entries of a turn, to and from the framework's messages
contents.py       the framework's contents and updates as JSON values
files.py          a whole conversation as Markdown, JSON or a notebook, and back
safe_markdown.py  Markdown of strangers in forms that do nothing
"""
