"""PostgreSQL is killed in the middle of pushes; the server stays, says so to devices, and recovers by itself."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from tests.durability.server import Answer, Request, Server, ask, running
from tests.durability.storm import Storm, unanswered, until
from tests.servers.sources import Server as Database

KILLS = 4
ATTEMPTS = 16
SIZE = 500


def assert_put_off(answer: Answer) -> None:
    assert answer.status == 503, answer
    assert int(answer.headers["retry-after"]) > 0
    assert (answer.json["success"], answer.json["code"]) == (False, "server_busy")


def is_well(server: Server) -> bool:
    """Ask as a device that holds nothing. Whatever is not answered must be put off."""
    answer = ask(server, {"auth_token": "nobody", "logical_clock": 0, "diffs": []})
    if answer.status != 200:
        assert_put_off(answer)
    return answer.status == 200


def test_a_database_that_dies_puts_devices_off_until_it_is_back(postgresql_server: Database, tmp_path: Path) -> None:
    random = Random()
    kills = attempts = stored = put_off = 0
    begin = time.monotonic()
    with running(postgresql_server.url, tmp_path) as server:
        pid = server.pid
        storm = Storm(server, size=SIZE, random=random)
        while kills < KILLS:
            attempts += 1
            assert attempts <= ATTEMPTS, f"only {kills} kills found a push unanswered"
            storm.edit()
            requests = storm.send()
            storm.wait()
            moment = time.monotonic()
            postgresql_server.kill()
            for writer, request in zip(storm.writers, requests, strict=True):
                answer = request.join()
                assert answer is not None, server.log()
                if answer.status == 200:
                    writer.receive(answer.json)
                else:
                    assert_put_off(answer)
                    put_off += 1
            kills += unanswered(requests, moment) > 0
            # The processes of the dead server end within moments; nobody is served after that.
            until(lambda: not is_well(server), 10, "the death of the database")
            asked = time.monotonic()
            assert_put_off(ask(server, storm.writers[0].request()))
            health = Request(server.address, {}, method="GET", path="/health").join()
            assert health is not None
            assert_put_off(health)
            assert time.monotonic() - asked < 10
            postgresql_server.start()
            until(lambda: is_well(server), 20, "recovery")
            stored += storm.check_stored()
            assert server.pid == pid
        storm.end()
        assert server.pid == pid
        assert "Traceback" not in server.log()
    print(
        f"{kills} kills in {attempts} attempts, pushes take {storm.pushed * 1000:.0f} ms: {put_off} pushes put off, "
        f"{stored} of them stored whole, in {time.monotonic() - begin:.0f} s"
    )
