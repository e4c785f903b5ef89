"""`CosmosStateStorage`: an Azure Cosmos DB container (NoSQL API). Experimental.

documents.py     what is stored
batch.py         what steps of one actor come to, as one batch
writer.py        runs the steps of one actor
queues.py        a queue of steps for each actor, in call order
reads.py         what is read
hosts.py         which hosts live
service.py       requests with a deadline, sent again where that is safe
errors.py        what can go wrong with a request, and whether it may have happened
url.py           cosmos://...
storage.py       `CosmosStateStorage`
requirements.py  asks for the packages of the extra
"""

# First, so that a missing package is named together with its extra.
from agent_runtime_nb.storage.cosmos import requirements as requirements
from agent_runtime_nb.storage.cosmos.storage import CosmosStateStorage

__all__ = ["CosmosStateStorage"]
