"""Cells of the notebooks that these tests write."""

START = '''
import asyncio
import contextlib

import agent_runtime_nb as arn

gate = asyncio.Event()


async def paced(seconds):
    """Wait, but no longer than until the gate is open."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(gate.wait(), seconds)


def script(messages):
    """Count to 1000, which takes 50 seconds unless the gate is open; or say hello."""
    asked = sum(message.role == "user" for message in messages)
    if messages[-1].text == "count":
        return [f"Answer {asked}: ", " ".join(map(str, range(1, 1001))), " done."]
    return [f"Hello {asked}."]


rt = arn.start(arn.scripted_agent(script, name="counter", delay=0.05, sleep=paced))
'''

CHAT = 'rt.chat("counter")'

SECOND_CHAT = 'same = rt.chat("counter")\nsame'

BOARD = "rt.dashboard()"

WHOLE = " ".join(map(str, range(1, 1001))) + " done."
"""What an answer to "count" says after its number."""

DEMO = """
import agent_runtime_nb as arn

rt = arn.start(arn.EchoAgent(), arn.scripted_agent())
"""

PANEL_AND_BOARD = """
from ipywidgets import VBox

panel = rt.chat("scripted", layout={"height": "1760px"})
VBox([panel, rt.dashboard()])
"""

WORKER = """
import asyncio

import agent_runtime_nb as arn
from agent_framework import tool
from agent_runtime_nb.agents.samples import (
    Pace, call_tool, delete_file, demo_script, get_weather
)


@tool(approval_mode="never_require")
async def look_around(city: str) -> str:
    '''Take a very long look.'''
    await asyncio.Event().wait()
    return city


def script(messages):
    text = messages[-1].text
    if text == "be silent":
        return [Pace(600), "word"]
    if text == "look around":
        return ["I look. ", call_tool(messages, "look_around", city="Oslo")]
    if text == "count":
        return [Pace(0.05), " ".join(map(str, range(1, 1001)))]
    return demo_script(messages)


tools = [look_around, get_weather, delete_file]
rt = arn.start(arn.scripted_agent(script, name="worker", tools=tools))
"""

WORKER_CHAT = 'rt.chat("worker")'
