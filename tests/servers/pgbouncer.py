"""PgBouncer, where somebody has installed it; `transaction_pooler` is always there."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.servers.postgres_server import USER, PostgresServer, free_port

_SETTINGS = """
[databases]
postgres = host={folder} port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
auth_file = {users}
pool_mode = transaction
default_pool_size = 3
server_round_robin = 1
server_reset_query = DISCARD ALL
server_reset_query_always = 1
"""
_PATIENCE = 10.0


@pytest.fixture
def pgbouncer(postgres_server: PostgresServer) -> Iterator[int]:
    """The port of a PgBouncer in transaction mode, which resets every connection."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH')}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed: apt install pgbouncer")
    port = free_port()
    users = postgres_server.folder / "users"
    users.write_text('"postgres" ""\n')
    settings = postgres_server.folder / f"pgbouncer-{port}.ini"
    settings.write_text(
        _SETTINGS.format(
            folder=postgres_server.folder,
            server=postgres_server.port,
            port=port,
            users=users,
        )
    )
    as_user = ["-u", USER] if os.geteuid() == 0 else []
    with subprocess.Popen(
        [program, "--quiet", *as_user, str(settings)], stderr=subprocess.DEVNULL
    ) as process:
        _wait_for(port)
        yield port
        process.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
        else:
            return
