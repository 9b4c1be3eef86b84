"""The server is killed in the middle of pushes, again and again, and the devices send their queues again."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from tests.durability.server import running
from tests.durability.storm import Storm

KILLS = 20
ATTEMPTS = 80
SIZE = 500
"""Records that each batch of a device changes."""


def test_what_was_acknowledged_is_there_and_nothing_by_half(url: str, tmp_path: Path) -> None:
    random = Random()  # the moments differ from run to run; what must be so does not
    kills = attempts = stored = cut_off = 0
    begin = time.monotonic()
    with running(url, tmp_path) as server:
        storm = Storm(server, size=SIZE, random=random)
        while kills < KILLS:
            attempts += 1
            assert attempts <= ATTEMPTS, f"only {kills} kills found a push unanswered"
            storm.edit()
            requests = storm.send()
            storm.wait()
            moment = time.monotonic()
            killed = any(request.answered is None for request in requests)
            if killed:
                server.kill()
            answers = [request.join() for request in requests]
            for writer, answer in zip(storm.writers, answers, strict=True):
                if answer is not None:
                    assert answer.status == 200, answer
                    writer.receive(answer.json)
            if killed:
                # Sent whole before the kill, and never answered, is what counts.
                lost = sum(
                    answer is None and request.sent is not None and request.sent < moment
                    for request, answer in zip(requests, answers, strict=True)
                )
                kills += lost > 0
                cut_off += lost
                server.start()
                stored += storm.check_stored()
        storm.end()
    print(
        f"{kills} kills in {attempts} attempts, pushes take {storm.pushed * 1000:.0f} ms: {cut_off} pushes cut off, "
        f"{stored} of them stored whole, in {time.monotonic() - begin:.0f} s"
    )
