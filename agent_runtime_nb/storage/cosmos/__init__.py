"""`CosmosStateStorage`: an Azure Cosmos DB container (NoSQL API). Experimental.

documents.py   what is stored
draft.py       what steps of one actor come to, as one batch
writer.py      runs the steps of one actor
chains.py      steps in call order, on a thread with a loop for the client
reads.py       what is read
hosts.py       which hosts live
service.py     requests with a deadline, sent again where that is safe
troubles.py    what can go wrong with a request, judged
url.py         cosmos://...
"""

# First, so that a missing package is named together with its extra.
from agent_runtime_nb.storage.cosmos import needs as needs
from agent_runtime_nb.storage.cosmos.storage import CosmosStateStorage

__all__ = ["CosmosStateStorage"]
