"""`CosmosStateStorage`: an Azure Cosmos DB container (NoSQL API). Experimental.

_documents.py  what is stored
_draft.py      what steps of one actor come to, as one batch
_writer.py     runs the steps of one actor
_chains.py     steps in call order, on a thread with a loop for the client
_reads.py      what is read
_hosts.py      which hosts live
_service.py    requests with a deadline, sent again where that is safe
_troubles.py   what can go wrong with a request, judged
_url.py        cosmos://...
"""

# First, so that a missing package is named together with its extra.
from agent_runtime_nb.storage.cosmos import _needs as _needs
from agent_runtime_nb.storage.cosmos._storage import CosmosStateStorage

__all__ = ["CosmosStateStorage"]
