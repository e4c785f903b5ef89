"""Dead letters that are there before the first host of a world starts."""

from random import Random
from typing import Any

from agent_runtime_nb._base.json_codec import encode, encode_body
from agent_runtime_nb.runtime.ownership import DEAD, DEAD_MARKS
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange, HostInfo, TurnRecord
from tests.simulation.actors import random_params
from tests.simulation.history import Asked
from tests.simulation.world import World


async def write_letters(world: World, actor_id: ActorId, random: Random) -> None:
    """Give an actor some dead letters, most of which tell somebody."""
    for number in range(1, random.randint(2, 3) + 1):
        params = random_params(random, depth=2)
        if random.random() < 0.8:
            other = f"a{random.randint(0, 2)}", random_params(random, depth=3)
            params["steps"].insert(0, ("tell", other))
        await write_letter(world, actor_id, number, params)


async def write_letter(
    world: World, actor_id: ActorId, number: int, params: dict[str, Any]
) -> Asked:
    """Give an actor a dead letter at a position."""
    message_id = f"{actor_id.instance_id}-letter{number}"
    asked = Asked(actor_id, message_id, params, is_letter=True)
    world.history.asked[actor_id, message_id] = asked
    record = TurnRecord(number, message_id, RequestStatus.FAILED, attempts=3)
    record.body = encode_body("run", params, {})
    record.result, record.ended_at = encode({"error": "dead"}), 1.0
    disk = InMemoryStateStorage(world.data)
    await disk.open(HostInfo("earlier", "earlier"))
    epoch = (await disk.claim(actor_id)).epoch
    change = ActorChange(epoch, accepted=(record,), add_marks=DEAD_MARKS)
    change.set = {DEAD + message_id: encode({"attempts": 3, "at": 1.0})}
    await disk.apply(actor_id, change)
    await disk.close()
    return asked
