"""Conversations as data: read, stored, exported, imported, rendered safely.

entries.py        the entries of a turn, to and from the framework's messages
contents.py       the framework's contents and updates as JSON values
reading.py        whole conversations, read through a directory
export.py         a conversation as Markdown or a notebook, to read
json_format.py    a conversation as a JSON document, to import again
safe_markdown.py  untrusted Markdown as HTML or Markdown without anything active
"""
