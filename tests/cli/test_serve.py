"""``mobync serve``, as a process."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from pathlib import Path

import jwt
import pytest

from tests.cli.commands import Ended, mobync, serving
from tests.http.posting import ask, diff, request

SECRET = "a secret of thirty-two bytes, ok"


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    file = tmp_path / "tokens.txt"
    file.write_text("ann-secret = ann\n")
    return str(file)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path.as_posix()}/app.db"


def assert_one_error(ended: Ended, *told: str) -> None:
    """Check that the command failed with one clear line, and no traceback."""
    assert ended.status not in (0, -signal.SIGTERM)
    assert "Traceback" not in ended.err
    assert ended.out == ""
    lines = ended.err.strip().splitlines()
    assert sum(line.startswith("Error: ") for line in lines) == 1
    for text in told:
        assert text in ended.err


def test_it_says_where_it_listens_on_what_and_for_whom(database: str, tokens: str) -> None:
    with serving(database, "--tokens", tokens) as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", server.url)
        assert database in server.printed
        assert f"1 token of {tokens}" in server.printed
        assert "ann-secret" not in server.printed
        assert ask(server.url, method="GET", path="/health").status == 200
        assert ask(server.url, request(diff(title="milk"))).json["logical_clock"] == 1
        assert ask(server.url, request(token="other")).status == 401


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(database: str, number: int) -> None:
    with serving(database, "--insecure-token-is-owner") as server:
        ask(server.url, request(diff(title="milk")))
        ended = server.end(number)
    assert ended == Ended(0, "", "")
    with serving(database, "--insecure-token-is-owner") as server:
        assert len(ask(server.url, request()).json["diffs"]) == 1


def test_requests_under_way_are_answered_before_it_ends(database: str) -> None:
    diffs = [diff(id=f"d{number}", record=f"r{number}", title="milk") for number in range(20_000)]
    answers = []
    with serving(database, "--insecure-token-is-owner") as server:
        client = threading.Thread(target=lambda: answers.append(ask(server.url, request(*diffs))))
        client.start()
        time.sleep(0.15)
        ended = server.end()
        client.join()
    assert ended.status == 0
    assert [answer.status for answer in answers] == [200]


def test_everything_may_come_from_variables(database: str, tokens: str) -> None:
    with serving(MOBYNC_URL=database, MOBYNC_TOKENS=tokens, MOBYNC_HOST="localhost", MOBYNC_THREADS="2") as server:
        assert ask(server.url, request()).status == 200


def test_the_password_is_not_shown(postgresql_url: str) -> None:
    secret = re.search(r":([^:@/]+)@", postgresql_url)
    with serving("--insecure-token-is-owner", MOBYNC_URL=postgresql_url) as server:
        assert "postgresql" in server.printed
        if secret:
            assert secret[1] not in server.printed
            assert ":***@" in server.printed
        ended = server.end()
    assert ended == Ended(0, "", "")


def test_storage_in_memory_is_said_to_go(tokens: str) -> None:
    with serving("memory://", "--tokens", tokens) as server:
        assert "gone when this process ends" in server.printed


def test_requests_are_logged_if_asked(database: str) -> None:
    with serving(database, "--insecure-token-is-owner", "--access-log") as server:
        ask(server.url, request(token="ann-secret"))
        logged = server.end().err
    assert '"POST /sync HTTP/1.1" 200' in logged
    assert "ann-secret" not in logged


def test_jwts_signed_with_a_secret(database: str, tmp_path: Path) -> None:
    token = jwt.encode({"email": "ann@x", "exp": time.time() + 60, "aud": "app"}, SECRET, algorithm="HS256")
    (tmp_path / "secret").write_text(SECRET + "\n")
    for source, variables in [
        (["--jwt-secret-file", str(tmp_path / "secret")], {}),
        ([], {"MOBYNC_JWT_SECRET": SECRET}),
    ]:
        flags = ["--jwt-algorithm", "HS256", "--jwt-claim", "email", "--jwt-audience", "app"]
        with serving(database, *source, *flags, **variables) as server:
            assert "'email'" in server.printed
            assert SECRET not in server.printed
            assert ask(server.url, request(token=token)).status == 200
            assert ask(server.url, request(token=token[:-2] + "xx")).status == 401


def test_without_a_source_of_tokens_it_does_not_start(database: str) -> None:
    ended = mobync("serve", database)
    assert_one_error(ended, "--tokens FILE", "--jwt-secret-file FILE", "--insecure-token-is-owner")


def test_two_sources_of_tokens_are_one_too_many(database: str, tokens: str) -> None:
    ended = mobync("serve", database, "--tokens", tokens, MOBYNC_JWT_SECRET=SECRET)
    assert_one_error(ended, "--tokens and MOBYNC_JWT_SECRET")
    assert SECRET not in ended.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_token_is_owner_is_refused_where_others_could_reach_it(database: str, host: str) -> None:
    assert_one_error(mobync("serve", database, "--insecure-token-is-owner", "--host", host), "refused on " + host)


def test_without_a_url(tokens: str) -> None:
    assert_one_error(mobync("serve", "--tokens", tokens), "MOBYNC_URL")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("app.db", "must begin with a scheme"),
        ("sqllite:///app.db", "did you mean sqlite://?"),
        ("sqlite:////nowhere/at/all/app.db", "there is no directory /nowhere/at/all"),
        ("postgresql://ann:s3cret@127.0.0.1:1/app", "***"),
        ("nosuch://ann:s3cret@host/app", "no installed adapter claims nosuch://"),
    ],
)
def test_a_storage_that_cannot_be_opened(url: str, told: str) -> None:
    ended = mobync("serve", url, "--port", "0", "--insecure-token-is-owner")
    assert_one_error(ended, told)
    assert len(ended.err.strip().splitlines()) == 1
    assert "s3cret" not in ended.err


def test_a_port_in_use(database: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = mobync("serve", database, "--port", port, "--insecure-token-is-owner")
    assert_one_error(ended, f"cannot listen on 127.0.0.1 port {port}", "in use")


def test_a_host_that_is_none(database: str, tokens: str) -> None:
    assert_one_error(mobync("serve", database, "--tokens", tokens, "--host", "nowhere.invalid"), "nowhere.invalid")


def test_a_file_of_tokens_that_is_wrong(database: str, tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("ann-secret = ann\nb0b-secret\n")
    ended = mobync("serve", database, "--tokens", str(tmp_path / "tokens.txt"))
    assert_one_error(ended, "tokens.txt, line 2: expected `token = owner`")
    assert "b0b-secret" not in ended.err


def test_jwts_need_an_algorithm_and_a_long_secret(database: str) -> None:
    assert_one_error(mobync("serve", database, MOBYNC_JWT_SECRET=SECRET), "--jwt-algorithm HS256")
    short = mobync("serve", database, "--jwt-algorithm", "HS256", MOBYNC_JWT_SECRET="s3cret")
    assert_one_error(short, "at least 32")
    assert "s3cret" not in short.err
