"""Actors of another process over its HTTP API.

client.py      `HttpActorClient` and its directory
connection.py  requests and streams that survive a broken connection
transport.py   the thread that talks to the server
protocol.py    what both ends must agree on: errors, verbs and events as JSON
"""
