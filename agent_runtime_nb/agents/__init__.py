"""The bridge to Microsoft Agent Framework: its agents, and functions, as actors.

actor.py             `AgentActor`: one conversation with an agent, one turn at a time
source.py            what may be hosted as an agent, and how it is made ready
function_agent.py    a plain function as an agent
turn.py              one turn: what was sent, its updates
history.py           the conversation as the history that an agent reads and extends
streamed_answer.py   the answer, gathered from its updates
approvals.py         approvals of tool calls
session_snapshot.py  everything of a conversation that is not a message
new_messages.py      which messages are new to the agent, where a client sends the whole conversation
errors.py            errors of agents and services, in a sentence; retry_after.py
proxy.py             `AgentProxy`: an actor as an agent of the framework; proxy_messages.py
samples.py           agents that need no key; scripted_model.py
environment.py       agents that are configured by environment variables: `azure`, `openai`
"""
