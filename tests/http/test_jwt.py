"""Where owners come from: JSON Web Tokens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mobync_core import Unauthenticated
from mobync_core.http.jwt import JWTOwners
from mobync_core.http.tokens import TokenSourceError

DAY = 86_400  # seconds: some tokens are made when the tests are collected, minutes before they are used
SECRET = "a secret of thirty-two bytes, ok"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def token(key: Any = SECRET, algorithm: str = "HS256", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token for ann that is good for two days, but for what `claims` say; a claim that is None is left out."""
    all_claims = {"sub": "ann", "exp": time.time() + 2 * DAY, **claims}
    told = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode(told, key, algorithm=algorithm, headers=header)


def pem(key: Any) -> str:
    text: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def written(path: Path, text: str) -> Path:
    file = path / "key"
    file.write_text(text)
    return file


def test_a_token_signed_with_the_secret() -> None:
    assert JWTOwners.from_secret(SECRET)(token()) == "ann"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("no token", "Not enough segments"),
        ("ä.ö.ü", "not accepted"),
        (token(exp=time.time() - 60), "has expired"),
        (token(exp=None), '"exp"'),
        (token(sub=None), '"sub"'),
        (token(nbf=time.time() + DAY), "not yet valid"),
        (token("another secret of 32 bytes, yes!"), "Signature verification failed"),
        (token(algorithm="HS512", key=SECRET * 2), "alg"),
        (token(key=None, algorithm="none"), "alg"),
        (token(aud="other-app"), "audience"),
    ],
    ids=["no token", "not ASCII", "old", "no expiry", "no owner", "early", "forged", "HS512", "none", "audience"],
)
def test_a_token_that_is_not_accepted_says_why(bad: str, told: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        JWTOwners.from_secret(SECRET)(bad)
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


def test_audience_and_issuer_must_be_the_expected() -> None:
    owners = JWTOwners.from_secret(SECRET, audience="app", issuer="https://id.example")
    assert owners(token(aud="app", iss="https://id.example")) == "ann"
    for wrong in (token(aud="app"), token(iss="https://id.example"), token(aud="app", iss="https://evil.example")):
        with pytest.raises(Unauthenticated):
            owners(wrong)


def test_another_claim_may_hold_the_owner() -> None:
    owners = JWTOwners.from_secret(SECRET, claim="email")
    assert owners(token(email="ann@example.org")) == "ann@example.org"
    assert owners(token(email=7)) is None
    assert owners(token(email="")) is None
    with pytest.raises(Unauthenticated, match="email"):
        owners(token())


def test_clocks_may_be_apart_by_the_leeway() -> None:
    assert JWTOwners.from_secret(SECRET, leeway=10)(token(exp=time.time() - 5)) == "ann"


def test_a_secret_that_is_too_short_is_refused() -> None:
    with pytest.raises(TokenSourceError, match="at least 64") as caught:
        JWTOwners.from_secret(SECRET, algorithms=["HS256", "HS512"])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("algorithms", [["none"], ["RS256"], []])
def test_a_secret_goes_with_algorithms_for_secrets_only(algorithms: list[str]) -> None:
    with pytest.raises(TokenSourceError, match="HS256"):
        JWTOwners.from_secret(SECRET, algorithms=algorithms)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256")], ids=["RS256", "ES256"])
def test_a_token_checked_with_a_public_key(tmp_path: Path, key: Any, algorithm: str) -> None:
    owners = JWTOwners.from_public_key(written(tmp_path, pem(key)), algorithms=[algorithm])
    assert owners(token(key, algorithm)) == "ann"
    with pytest.raises(Unauthenticated):
        owners(token())


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_public_key_is_never_taken_for_a_secret(tmp_path: Path, algorithm: str) -> None:
    with pytest.raises(TokenSourceError, match=f"{algorithm} does not go with a public key"):
        JWTOwners.from_public_key(written(tmp_path, pem(RSA)), algorithms=[algorithm])


def test_a_file_that_is_no_such_public_key(tmp_path: Path) -> None:
    with pytest.raises(TokenSourceError, match="no public key for RS256"):
        JWTOwners.from_public_key(written(tmp_path, "milk"), algorithms=["RS256"])
    with pytest.raises(TokenSourceError, match="no public key for ES256"):
        JWTOwners.from_public_key(written(tmp_path, pem(RSA)), algorithms=["ES256"])
    private = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(TokenSourceError, match="only the public one"):
        JWTOwners.from_public_key(written(tmp_path, private), algorithms=["RS256"])


def key_set(**keys: Any) -> str:
    told = []
    for name, key in keys.items():
        one = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
        told.append({**one, "alg": "RS256", **({"kid": name} if name != "unnamed" else {})})
    return json.dumps({"keys": told})


def test_a_token_checked_with_the_key_that_it_names(tmp_path: Path) -> None:
    owners = JWTOwners.from_key_set(written(tmp_path, key_set(old=RSA, new=OTHER_RSA)), algorithms=["RS256"])
    assert owners(token(RSA, "RS256", header={"kid": "old"})) == "ann"
    assert owners(token(OTHER_RSA, "RS256", header={"kid": "new"})) == "ann"
    for wrong, told in [
        (token(RSA, "RS256", header={"kid": "new"}), "Signature verification failed"),
        (token(RSA, "RS256", header={"kid": "lost"}), "not known here"),
        (token(RSA, "RS256"), "does not name the key"),
        ("no token", "not accepted"),
    ]:
        with pytest.raises(Unauthenticated, match=told):
            owners(wrong)


@pytest.mark.parametrize("name", ["only", "unnamed"])
def test_the_only_key_of_a_set_need_not_be_named(tmp_path: Path, name: str) -> None:
    owners = JWTOwners.from_key_set(written(tmp_path, key_set(**{name: RSA})), algorithms=["RS256"])
    assert owners(token(RSA, "RS256")) == "ann"


@pytest.mark.parametrize("text", ["milk", "[]", "{}", '{"keys": []}', '{"keys": 7}', '{"keys": [{"kty": "x"}]}'])
def test_a_file_that_is_no_key_set(tmp_path: Path, text: str) -> None:
    with pytest.raises(TokenSourceError, match="no JSON Web Key Set"):
        JWTOwners.from_key_set(written(tmp_path, text), algorithms=["RS256"])


def test_a_key_set_without_a_key_for_the_algorithm(tmp_path: Path) -> None:
    with pytest.raises(TokenSourceError, match="holds no key for ES256"):
        JWTOwners.from_key_set(written(tmp_path, key_set(only=RSA)), algorithms=["ES256"])
