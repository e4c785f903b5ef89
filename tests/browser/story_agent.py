"""The agent of the story book's scenes: a scripted model with tools, always the same.

It reacts to the first word of a message; `HOLD` stops it in the middle for good, so that
a picture of a running turn is always the same one.
"""

import asyncio
import base64
import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from agent_framework import Content, Message, tool
from agent_framework.exceptions import ChatClientException

from agent_runtime_nb.agents.samples import Pace, Step, call_tool

AGENT = "travel-agent"
HOLD = Pace(1_000_000.0)

PLAN = """\
Here is a plan for **three days in Oslo** under 400 €:

1. **Opera House** and the harbour promenade, free
2. *Vigeland* park, then a picnic
3. The Munch museum (`160 NOK`), see [its site](https://www.munchmuseet.no)

| Day | Where | Cost |
| --- | --- | ---: |
| 1 | Opera, harbour | 0 € |
| 2 | Vigeland | 12 € |
| 3 | Munch museum | 14 € |

```python
def budget(days: int, per_day: float = 120.0) -> float:
    \"\"\"What is left of 400 euros.\"\"\"
    return 400 - days * per_day  # a rough guess

print(f"{budget(3):.2f} left")
```

> Book the hotel early: June is busy."""

MATHS = r"""The area under the curve is

$$\int_0^1 x^2 \, dx = \frac{1}{3}$$

and with \(n\) travellers each pays \(\frac{400}{n}\) €. In brackets:

\[\sum_{k=1}^{n} k = \frac{n(n+1)}{2}\]

Prices such as $5 and $10 are no formulas."""

THOUGHT = (
    "They want something cheap. First I look for a hotel near the harbour, then I add "
    "up the museums, then I compare it with 400 €."
)


def _picture() -> str:
    """A PNG of 32 x 32 points, as a data URI."""
    rows = b"".join(
        b"\0" + b"".join(bytes((230, 120 + 3 * y, 40 + 4 * x)) for x in range(32))
        for y in range(32)
    )
    header = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    length, check = len(content), zlib.crc32(kind + content)
    return struct.pack(">I", length) + kind + content + struct.pack(">I", check)


PICTURE = _picture()


@tool(approval_mode="never_require")
def search_hotels(city: str, max_price: int = 120, guests: int = 2) -> str:
    """Find hotels."""
    return (
        f"3 hotels in {city} for {guests} under {max_price} €: Anker, Bogstad, Citybox"
    )


@tool(approval_mode="never_require")
async def watch_prices(city: str) -> str:
    """Watch prices, which takes for ever."""
    await asyncio.Event().wait()
    return city


@tool(approval_mode="never_require")
def book_train(to: str) -> str:
    """Book a train, which fails."""
    raise TimeoutError(f"the booking service for {to} did not answer within 30 s")


@tool(approval_mode="always_require")
def delete_file(path: str) -> str:
    """Delete a file."""
    return f"{path} is deleted"


@tool(approval_mode="never_require")
def compare_prices(city: str) -> list[Content]:
    """Compare prices; gives a table and a picture."""
    rows = "".join(
        f"<tr><td>{hotel}</td><td>{price} €</td></tr>"
        for hotel, price in (("Anker", 98), ("Bogstad", 74), ("Citybox", 112))
    )
    table = f"<table><tr><th>Hotel in {city}</th><th>Price</th></tr>{rows}</table>"
    picture = base64.b64decode(PICTURE.partition(",")[2])
    return [
        Content.from_text(f"3 hotels in {city}"),
        Content.from_data(table.encode(), "text/html"),
        Content.from_data(picture, "image/png"),
    ]


TOOLS = [search_hotels, watch_prices, book_train, compare_prices, delete_file]


SNEAKY = {"path": "notes\u202etxt.\u200bexe\u00a0 && rm -r ~"}


def _reactions(messages: Sequence[Message]) -> dict[str, list[Step]]:
    def call(name: str, **arguments: Any) -> Content:
        return call_tool(messages, name, **arguments)

    return {
        "plan": [call("search_hotels", city="Oslo")],
        "stream": [
            "Here is a plan for **three days in Oslo**:\n\n1. The Op",
            HOLD,
            ".",
        ],
        "wait": [HOLD, "."],
        "ponder": [Content.from_text_reasoning(text=THOUGHT), HOLD, "."],
        "think": [Content.from_text_reasoning(text=THOUGHT), "Take the night train."],
        "watch": ["Let me look. ", call("watch_prices", city="Oslo")],
        "compare": [call("compare_prices", city="Oslo")],
        "book": ["I try to book it. ", call("book_train", to="Oslo")],
        "delete": ["I can do that. ", call("delete_file", path="reports/draft.md")],
        "sneaky": [
            "Only a note. ",
            # As most services send it: nothing is escaped that need not be.
            Content.from_function_call(
                "call_1",
                "delete_file",
                arguments=json.dumps(SNEAKY, ensure_ascii=False),
            ),
        ],
        "fail": ["I begin, but ", ChatClientException("the model service went away")],
        "maths": [MATHS],
        "hello": ["Hello! How can I help you today?"],
    }


def script(messages: Sequence[Message]) -> list[Step]:
    """What the model answers to the first word of the last message."""
    last = messages[-1]
    if last.role == "tool":
        return _after_tools(last)
    word = last.text.split(maxsplit=1)[0].lower().rstrip(",.:") if last.text else ""
    return _reactions(messages).get(word, ["That is all I know."])


def _after_tools(message: Message) -> list[Step]:
    results = " ".join(str(content.result) for content in message.contents)
    if "rejected" in results or "not allowed" in results:
        return ["All right, I leave it as it is."]
    if "Anker," in results:
        return [PLAN]
    if "hotels" in results:
        return ["**Bogstad** costs the least."]
    return [f"Done: {results}."] if "deleted" in results else ["That did not work."]


async def stand_still(seconds: float) -> None:
    """Wait for ever at `HOLD`, and nowhere else."""
    if seconds == HOLD.seconds:
        await asyncio.Event().wait()
