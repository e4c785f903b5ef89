"""The notebook's composition root: `start()` and what it gives.

start.py              `start()`: the one call that a notebook begins with
runtime.py            `NotebookRuntime`: what it gives
conversations.py      lists, exports, answers again: what its methods of that kind do
opening.py            client and directory of a runtime whose storage may still be opening
loop.py               the loop that the runtime lives on, and waiting for it in a cell
answers.py            what `ask` and `stream` give
tables.py             facts as a table, in a cell and in a terminal
conversation_name.py  which notebook this kernel runs: the default conversation
"""
