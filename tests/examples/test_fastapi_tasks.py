"""The FastAPI example over its own tables, started as its README says, and used over HTTP by everybody at once."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mobync_core import Mobync
from mobync_core.testing.dart import random_id
from tests.examples.tasks_application import EXAMPLE, USERS, Application, Phone, Rows, serving
from tests.examples.tasks_crowd import Crowd
from tests.http.posting import ask


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path.as_posix()}/tasks.db"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def application(database_url: str, tmp_path: Path) -> Iterator[Application]:
    with serving(tmp_path, database_url) as application:
        yield application


def fresh(application: Application, user: str) -> Phone:
    phone = Phone(application, application.login(user), seed=1)
    phone.sync()
    return phone


def records(application: Application, owner: str) -> Rows:
    """Read what Mobync has of an owner, by a process that was never told of the tables."""
    with Mobync(application.database_url, setup=False) as mobync:
        return {
            (model, record.pop("id")): {name: value for name, value in record.items() if value is not None}
            for model in ("projects", "tasks")
            for record in mobync.records(owner, model)
        }


def agree(application: Application, phones: dict[str, list[Phone]]) -> None:
    """Check that rows, records, all devices and a fresh one hold the same for every user, and no task is astray."""
    owners = application.owners()
    for user in USERS:
        rows = application.rows(owners[user])
        assert fresh(application, user).rows == rows
        assert records(application, owners[user]) == rows
        for phone in phones.get(user, []):
            assert phone.rows == rows
    assert records(application, owners["admin"]) == {}
    assert application.astray() == 0


def test_rows_that_were_there_before_reach_a_fresh_device(application: Application) -> None:
    phones = {user: [fresh(application, user)] for user in USERS}

    for user in USERS:
        held = phones[user][0].device.rows
        projects = {fields["name"]: id for (model, id), fields in held.items() if model == "projects"}
        tasks = {fields["title"]: fields for (model, _), fields in held.items() if model == "tasks"}
        assert projects.keys() == {"Home", "Work", "Someday"}
        assert len(tasks) == 5
        told = dict(tasks["Call Füße GmbH"])
        assert told.pop("created_at").endswith("+00:00")
        assert told == {
            "project_id": projects["Work"],
            "title": "Call Füße GmbH",
            "priority": 2,
            "status": "doing",
            "due": "2026-01-02",
            "approved": False,
        }
    agree(application, phones)


def test_what_admins_and_pages_write_reaches_the_devices(application: Application) -> None:
    ann, bob, admin = fresh(application, "ann"), fresh(application, "bob"), application.login("admin")
    token = application.login("ann")
    work = the(ann, "projects", name="Work")
    report = the(ann, "tasks", title="Write the report")
    water = the(ann, "tasks", title="Water the plants")

    def by(token: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = application.ask(method, path, body, token)
        assert answer.status in (200, 201, 204), answer.body
        return answer.json if answer.body else None

    by(admin, "POST", f"/admin/projects/{work}/approve")
    by(admin, "PATCH", f"/admin/projects/{work}", {"name": "Office"})
    by(admin, "POST", f"/admin/tasks/{report}/move", {"project_id": the(bob, "projects", name="Home")})
    by(admin, "DELETE", f"/admin/projects/{the(ann, 'projects', name='Home')}")
    by(admin, "POST", "/admin/overdue", {"before": "2026-02-01"})
    made = by(token, "POST", "/tasks", {"project_id": work, "title": "by the web", "due": "2026-05-01"})
    by(token, "PATCH", f"/tasks/{the(ann, 'tasks', title='Order paper')}", {"due": None})
    phones = {"ann": [ann], "bob": [bob]}
    for phone in (ann, bob):
        phone.sync()

    assert ann.device.rows["projects", work]["name"] == "Office"
    titles = {fields["title"]: fields for (model, _), fields in ann.rows.items() if model == "tasks"}
    assert titles.keys() == {"Call Füße GmbH", "Order paper", "by the web"}
    assert titles["Call Füße GmbH"]["approved"]
    assert titles["Call Füße GmbH"]["priority"] == 3
    assert "due" not in titles["Order paper"]
    assert ("tasks", made["id"]) in ann.device.rows
    assert ("tasks", water) not in ann.device.rows
    assert bob.device.rows["tasks", report]["title"] == "Write the report"
    assert bob.device.rows["tasks", report]["approved"]
    agree(application, phones)


# What a device sends, the result, and what the reason names. The project `work` and the task are ann's.
REFUSED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a title that is none": ("update", {"title": 5}, "refused", "title"),
    "a title that is too long": ("update", {"title": "x" * 201}, "refused", "title"),
    "a priority that is too high": ("update", {"priority": 6}, "refused", "priority"),
    "a priority in words": ("update", {"priority": "high"}, "refused", "priority"),
    "an unknown status": ("update", {"status": "perhaps"}, "refused", "status"),
    "a day that is none": ("update", {"due": "soon"}, "refused", "due"),
    "no title": ("create", {"project_id": "work"}, "refused", "title"),
    "no project": ("create", {"title": "x"}, "refused", "project_id"),
    "a project that is not there": ("create", {"title": "x", "project_id": "nowhere"}, "refused", "project_id"),
    "another user's project": ("create", {"title": "x", "project_id": "bobs"}, "refused", "project_id"),
    "into another user's project": ("update", {"project_id": "bobs"}, "refused", "project_id"),
    "done before it is begun": ("create", {"title": "x", "project_id": "work", "status": "done"}, "refused", "allow"),
    "a field that is hidden": ("update", {"internal_note": "mine"}, "refused", "internal_note"),
    "another owner": ("update", {"user_id": 1}, "refused", "user_id"),
    "a field that nobody knows": ("update", {"colour": "red"}, "refused", "colour"),
    "a field that is read-only": ("update", {"title": "and this", "approved": True}, "merged", "approved"),
}


def test_what_the_tables_do_not_take_is_refused_alone_and_put_right(application: Application) -> None:
    ann, bob = fresh(application, "ann"), fresh(application, "bob")
    known = {"work": the(ann, "projects", name="Work"), "bobs": the(bob, "projects", name="Home")}
    task = the(ann, "tasks", title="Order paper")
    before = application.rows(application.owners()["ann"])

    for what, (kind, fields, result, said) in REFUSED.items():
        sent = {name: known.get(value, value) if isinstance(value, str) else value for name, value in fields.items()}
        good, id = random_id(), task if kind == "update" else random_id()
        ann.device.create("tasks", good, {"project_id": known["work"], "title": what})
        if kind == "update":
            ann.device.update("tasks", id, sent)
        else:
            assert ann.device.create("tasks", id, sent)
        outcomes = {one["record"]: one for one in ann.sync(explain=True)["outcomes"]}
        assert outcomes[good]["result"] == "applied", what
        assert outcomes[id]["result"] == result, (what, outcomes[id])
        assert said in outcomes[id]["reason"], (what, outcomes[id])
        assert ann.device.rows["tasks", good]["title"] == what
        assert (("tasks", id) in ann.device.rows) is (kind == "update")

    ann.device.update("projects", known["work"], {"name": "Home"})
    ann.device.create("projects", random_id(), {"name": "Someday"})
    ann.device.create("users", random_id(), {"name": "mallory", "password": "", "is_admin": True})
    assert {(one["result"], one["model"]) for one in ann.sync(explain=True)["outcomes"]} == {
        ("refused", "projects"),
        ("refused", "users"),
    }
    expected = before | {("tasks", task): before["tasks", task] | {"title": "and this"}}
    assert {key: ann.rows[key] for key in before} == expected
    assert len(ann.rows) == len(before) + len(REFUSED)
    agree(application, {"ann": [ann], "bob": [bob]})


def test_names_that_are_given_up_and_taken_in_one_push(application: Application) -> None:
    ann, tablet = fresh(application, "ann"), fresh(application, "ann")
    home, work, someday = (the(ann, "projects", name=name) for name in ("Home", "Work", "Someday"))
    new = random_id()
    ann.device.delete("projects", someday)
    ann.device.create("projects", new, {"name": "Someday"})
    ann.device.create("tasks", random_id(), {"project_id": new, "title": "in it"})
    ann.device.update("projects", home, {"name": "Flat"})
    ann.device.update("projects", work, {"name": "Home"})

    outcomes = ann.sync(explain=True)["outcomes"]
    tablet.sync()

    assert [one["result"] for one in outcomes] == ["applied"] * 5
    names = {id: fields["name"] for (model, id), fields in tablet.rows.items() if model == "projects"}
    assert names == {new: "Someday", home: "Flat", work: "Home"}
    agree(application, {"ann": [ann, tablet]})


def test_a_project_that_a_device_deletes_takes_its_tasks_along(application: Application) -> None:
    phone, tablet = fresh(application, "ann"), fresh(application, "ann")
    work = the(phone, "projects", name="Work")
    phone.device.delete("projects", work)
    tablet.device.create("tasks", "late", {"project_id": work, "title": "not seen"})

    phone.sync()
    (outcome,) = tablet.sync(explain=True)["outcomes"]

    assert outcome["result"] == "refused"
    assert {fields["title"] for (model, _), fields in phone.rows.items() if model == "tasks"} == {
        "Water the plants",
        "Fix the tap",
    }
    agree(application, {"ann": [phone, tablet]})


def test_all_at_once_end_with_the_same(database_url: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    with serving(tmp_path, database_url, workers=2) as application:
        crowd = Crowd(application, phones=3, seed=4)
        crowd.begin()
        crowd.work(turns=20)
        crowd.settle()
        print(f"{time.monotonic() - begun:.1f} s:", dict(sorted(crowd.done.items())))

        agree(application, {user.name: list(user.phones) for user in crowd.users})
        for user in crowd.users:
            held = user.phones[0].device.rows
            assert {id: held["tasks", id]["title"] for id in user.titles} == user.titles, "an edit was lost"
    kinds = ("approve", "note", "move", "rename", "delete", "overdue")
    assert all(crowd.done[f"admin {kind} done"] for kind in kinds)
    assert all(crowd.done[f"web {kind} done"] for kind in ("project", "task", "change", "delete", "keeps"))
    assert all(crowd.done[result] for result in ("applied", "merged", "refused"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_its_readme_asks_by_curl_is_answered(application: Application) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    asked = re.findall(r"^curl localhost:8000(/\S+) .*-d '(.+)'$", readme, re.MULTILINE)

    (login, credentials), (sync, body) = asked
    token = ask(application.url, json.loads(credentials), path=login).json["token"]
    answer = ask(application.url, json.loads(body.replace("TOKEN", token)), path=sync)

    assert answer.status == 200
    assert len(answer.json["diffs"]) == 8


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_only_admins_administer_and_only_users_get_in(application: Application) -> None:
    ann = application.login("ann")
    project = the(fresh(application, "bob"), "projects", name="Home")

    assert application.ask("DELETE", f"/admin/projects/{project}", token=ann).status == 403
    assert application.ask("DELETE", f"/projects/{project}", token=ann).status == 404
    assert application.ask("GET", "/tasks", token="nobody's").status == 401
    assert application.ask("POST", "/login", {"name": "ann", "password": "bob"}).status == 401
    assert (
        ask(application.url, {"auth_token": "ann", "logical_clock": 0, "diffs": []}, path="/mobync/sync").status == 401
    )


def the(phone: Phone, model: str, **fields: Any) -> str:
    """Return the id of the one record that has these fields."""
    (id,) = [id for (held, id), row in phone.device.rows.items() if held == model and fields.items() <= row.items()]
    return id
