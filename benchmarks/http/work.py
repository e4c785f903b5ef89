"""What every contender is asked, and the figures."""

import json
import subprocess
import sys

from benchmarks.http.client import CONVERSATION, Load
from benchmarks.measure import Figures, amount

SINGLE = "asks per s"
BUSY = "p99 of 200 at once, ms"
EVENTS = "events per s"

CONNECTIONS, CROWD = 16, 200
ASKS, CROWD_ASKS, BURST, BURSTS = 3000, 2000, 1000, 60

UPDATE = {"type": "text", "text": "tokens and more", "role": "assistant"}
HELLO = json.dumps(
    {
        "conversation_id": CONVERSATION,
        "messages": [{"role": "user", "content": "Hello"}],
    }
)


def drive(load: Load) -> list[float]:
    """The seconds of every request, and at the end of all together."""
    facts = [
        str(load.port),
        load.target,
        load.body,
        str(load.connections),
        str(load.count),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.http.client", *facts],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout)


def figures(port: int, run: str, events: str, scale: float) -> Figures:
    """All figures of a server: `run` takes a POST, `events` answers a burst."""
    # Everything loaded and warm: FastAPI makes its routes ready at their first use,
    # which takes as long as many bursts.
    drive(Load(port, run, HELLO, CONNECTIONS, 200))
    drive(Load(port, events, "", 1, 3))
    count = amount(ASKS, scale)
    single = drive(Load(port, run, HELLO, CONNECTIONS, count))
    crowd = drive(Load(port, run, HELLO, CROWD, amount(CROWD_ASKS, scale)))[:-1]
    bursts = amount(BURSTS, scale)
    burst = drive(Load(port, events, "", 1, bursts))
    return {
        SINGLE: count / single[-1],
        BUSY: sorted(crowd)[int(len(crowd) * 0.99)] * 1000,
        EVENTS: BURST * bursts / burst[-1],
    }
