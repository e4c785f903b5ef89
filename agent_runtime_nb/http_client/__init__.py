"""Actors of another process over its HTTP API.

client.py      `HttpActorClient` and its directory
connection.py  requests and streams that survive a broken connection
retry.py       when a failed attempt is made again
stream.py      items from the transport's loop to a reader on any loop
transport.py   the thread with the loop and the pool of connections
protocol.py    what client and server agree on: paths, errors, verbs, events
"""
