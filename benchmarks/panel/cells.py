"""The cells of the contenders' notebooks.

Each notebook has a cell that shows something and, but for the panel of this project,
which is typed into, one that begins the stream. `tokens()` is the same agent in all.
"""

AGENT = '''
import asyncio
import json
import random
import string
import time

COUNT, RATE = {count}, 200.0
chance = random.Random(1)


def word(number):
    """Nothing that compresses well; the first one is found by the watch."""
    return "".join(chance.choices(string.ascii_lowercase, k=6)) if number else "w00000"


async def paced(note):
    """So many tokens at that rate; a paragraph has a hundred."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(COUNT):
        await asyncio.sleep(max(0.0, begun + number / RATE - loop.time()))
        note(time.time())
        end = chr(10) * 2 if number % 100 == 99 else " "
        yield word(number) + end


async def alone():
    """What the agent itself costs, with nobody to listen."""
    spent = time.process_time()
    async for _ in paced([].append):
        pass
    return time.process_time() - spent


async def tokens():
    """The stream; in the end its figures are noted."""
    yielded = []
    begun, spent = time.perf_counter(), time.process_time()
    async for token in paced(yielded.append):
        yield token
    await asyncio.sleep(0.5)  # what is still on its way is part of the cost
    figures["yielded"] = yielded
    figures["seconds"] = time.perf_counter() - begun
    figures["cpu"] = time.process_time() - spent - own


figures = {{}}
own = await alone()
'''

OURS = """
import agent_runtime_nb as arn


async def writer(message):
    async for token in tokens():
        yield token


rt = arn.start(writer)
rt.chat("writer")
"""

TRAIT = """
import ipywidgets
from IPython.display import display

box = ipywidgets.HTML("ready")
box.add_class("bench-target")
display(box)


async def run():
    box.value = ""
    async for token in tokens():
        box.value += token


running = []
"""

TRAIT_START = "running.append(asyncio.get_running_loop().create_task(run()))"

PANEL = """
import panel

panel.extension(inline=True)  # nothing is loaded from elsewhere


async def answer(contents, user, instance):
    text = ""
    async for token in tokens():
        text += token
        yield text


chat = panel.chat.ChatInterface(callback=answer, callback_exception="verbose")
chat.servable()
"""

PANEL_START = """chat.send("go", respond=True)"""
