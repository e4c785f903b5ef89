"""The work that every contender does."""

import json
import time

from agent_runtime_nb.runtime_abstractions import RequestStatus
from agent_runtime_nb.storage_abstractions import ActorChange, TurnEnd, TurnRecord

CONVERSATIONS = 64

TEXT = "What is known of the weather of the coming week in the mountains? " * 3

PARAMS = {"messages": [{"role": "user", "content": TEXT}]}
"""Both the request and the answer of a turn."""

BODY = json.dumps({"method": "run", "params": PARAMS}).encode()
RESULT = json.dumps(PARAMS).encode()


def accept(position: int) -> ActorChange:
    """A turn comes, as the first owner of its actor writes it."""
    record = TurnRecord(
        position=position,
        message_id=f"m{position}",
        body=BODY,
        accepted_at=time.time(),
    )
    return ActorChange(epoch=1, accepted=(record,), started=(position,))


def commit(position: int) -> ActorChange:
    """That turn ends."""
    end = TurnEnd(
        position=position,
        status=RequestStatus.COMPLETED,
        result=RESULT,
        ended_at=time.time(),
    )
    etag = f"e{position - 1}" if position > 1 else None
    return ActorChange(epoch=1, etag=etag, new_etag=f"e{position}", ended=(end,))
