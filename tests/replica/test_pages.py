"""Long queues and long lists: in parts, in order, and shown when they are whole."""

from __future__ import annotations

import pytest

from mobync_core import Limits, Storage
from mobync_core.replica import (
    Progress,
    ServerRefused,
)
from tests.replica.devices import Server, filled


def test_a_long_queue_goes_in_chunks_in_the_order_of_its_records(server: Server) -> None:
    ann = server.device(batch=4)
    for number in range(10):
        ann.create("todo", {"id": f"r{number}", "x": 0})
    for number in range(10):
        ann.update("todo", f"r{number}", {"x": number})
    seen: list[Progress] = []
    assert ann.synchronize(progress=seen.append).pushed == 20
    assert server.rows() == {f"r{number}": {"x": number} for number in range(10)}
    assert [len(request["diffs"]) for request in ann.line.requests] == [4] * 5
    assert [(one.pushed, one.pending) for one in seen] == [(4, 16), (8, 12), (12, 8), (16, 4), (20, 0)]


def test_a_record_with_more_diffs_than_a_chunk_goes_in_parts(server: Server) -> None:
    ann = server.device(batch=4, skew=50)
    phone = server.device()
    ann.create("todo", {"id": "a", "x": 0, "y": 0})
    for number in range(1, 10):
        server.time -= 7  # each has seen the one before, whatever its clock says
        ann.update("todo", "a", {"x": number})
    ann.synchronize()
    phone.synchronize()
    assert ann.rows() == phone.rows() == {"a": {"x": 9, "y": 0}}
    assert max(len(request["diffs"]) for request in ann.line.requests) <= 6
    assert ann.status().conflicts == []


def test_a_server_that_takes_less_gets_less(memory: Storage) -> None:
    server = Server(memory)
    server.serve(memory, limits=Limits(request_bytes=3000))
    ann = server.device()
    for number in range(40):
        ann.create("todo", {"id": f"r{number:02}", "text": "x" * 100})
    ann.synchronize()
    assert ann.rows() == server.rows()
    assert len(server.rows()) == 40
    ann.update("todo", "r00", {"text": "y" * 4000})
    with pytest.raises(ServerRefused, match="the body has more than 3000 bytes") as refused:
        ann.synchronize()
    assert (refused.value.status, refused.value.code) == (413, "too_large")
    assert ann.status().pending == 1


def test_a_long_list_comes_in_pages_and_is_shown_when_it_is_whole(server: Server) -> None:
    filled(server, 25, tombstones=5)
    phone = server.device(page=10)
    seen: list[Progress] = []
    shown: list[int] = []

    def look(progress: Progress) -> None:
        seen.append(progress)
        shown.append(len(phone.all("todo")))

    result = phone.synchronize(progress=look)
    assert (result.requests, result.received) == (3, 30)
    assert [one.records for one in seen] == [10, 20, 30]
    assert shown == [0, 0, 25]
    assert phone.rows() == server.rows()


def test_pages_go_on_where_they_stopped(server: Server) -> None:
    filled(server, 30)
    phone = server.device(page=10)

    def stop(_progress: Progress) -> None:
        raise RuntimeError("stopped by the user")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped by the user"):
            phone.synchronize(progress=stop)
        assert phone.all("todo") == []
        assert phone.status().clock == 0
    assert phone.synchronize().received == 10
    assert phone.rows() == server.rows()


def test_pages_and_edits_on_both_sides_meanwhile(server: Server) -> None:
    first = filled(server, 30)
    phone = server.device(page=4)
    phone.synchronize()
    for number in range(20):
        first.update("todo", f"r{number:03}", {"x": "first"})
    first.delete("todo", "r020")
    first.synchronize()
    phone.update("todo", "r001", {"y": "phone"})
    phone.delete("todo", "r002")
    phone.create("todo", {"id": "new"})
    step = iter(range(1000))

    def meanwhile(_progress: Progress) -> None:
        number = next(step)
        first.update("todo", f"r{number + 3:03}", {"z": number})
        first.create("todo", {"id": f"s{number}"}) if number < 5 else None
        first.synchronize()
        phone.update("todo", "r025", {"z": number}) if number < 5 else None

    phone.synchronize(progress=meanwhile)
    phone.synchronize()
    first.synchronize()
    assert phone.rows() == first.rows() == server.rows()
    assert phone.rows()["r001"]["y"] == "phone"
    assert "r002" not in phone.rows()
    assert phone.rows()["r025"]["z"] == 4


def test_a_push_of_many_records_is_not_told_back(server: Server) -> None:
    ann = server.device(page=10)
    for number in range(100):
        ann.create("todo", {"id": f"r{number:03}"})
    result = ann.synchronize()
    assert (result.pushed, result.received, result.requests) == (100, 0, 1)


def test_an_edit_made_while_pages_are_read_has_not_seen_them(server: Server) -> None:
    first = filled(server, 10)
    phone, late = server.device(page=3), server.device(skew=1000)
    phone.synchronize()
    late.synchronize()
    for number in range(10):
        late.update("todo", f"r{number:03}", {"x": "late"})
    late.synchronize()
    edits = iter([lambda: phone.update("todo", "r000", {"x": "phone"})])
    phone.synchronize(progress=lambda _: next(edits, lambda: None)())
    first.synchronize()
    assert phone.rows() == first.rows() == server.rows()
    assert phone.rows()["r000"] == {"x": "late"}
    assert [report.record for report in phone.status().conflicts] == ["r000"]
