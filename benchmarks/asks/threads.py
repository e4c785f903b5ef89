"""Pykka: a thread for each actor, asked from one thread."""

import gc
import time
from collections.abc import Callable

import pykka

from benchmarks.asks.work import ASKS_EACH, actors_at_once
from benchmarks.measure import Figures, amount


class EchoActor(pykka.ThreadingActor):
    """Answers with the message."""

    def on_receive(self, message: int) -> int:
        """Answer."""
        return message


def _cpu_us(work: Callable[[], None], asks: int) -> float:
    gc.collect()
    started = time.process_time()
    work()
    return (time.process_time() - started) / asks * 1e6


def run(scale: float) -> Figures:
    """Measure."""
    asks, count = amount(5_000, scale), actors_at_once(scale)
    actors = [EchoActor.start() for _ in range(count)]

    def alone() -> None:
        for value in range(asks):
            actors[0].ask(value)

    def at_once() -> None:
        for value in range(ASKS_EACH):
            pykka.get_all([actor.ask(value, block=False) for actor in actors])

    figures = {
        "alone_us": _cpu_us(alone, asks),
        "thousand_us": _cpu_us(at_once, count * ASKS_EACH),
    }
    pykka.ActorRegistry.stop_all()
    return figures
