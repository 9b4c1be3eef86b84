"""Writes a history that failed as a file of pytest, which needs nothing but Mobync."""

from __future__ import annotations

import pprint
import textwrap

from mobync_core.testing.storm.history import as_data
from mobync_core.testing.storm.running import Failure

_TEMPLATE = '''\
"""What `mobync storm {url}` found with the seed {seed}: {promise}.

{why}

{steps}:

{timeline}
"""

import os

from mobync_core.testing.storm import {names}

URL = os.environ.get("MOBYNC_URL", {url!r})

HISTORY = {history}


def test_{name}():
    replay(HISTORY, URL{staging})
'''


def as_test(failure: Failure, url: str) -> str:
    """Return the source of a test that fails as the history did, on the storage at `url`, and passes once it is mended.

    `url` is written as it is: give it without its password (`redact`), which is then to come from MOBYNC_URL. The test
    for a server, over HTTP, takes the name of an owner for his token: change that if the server wants another.
    """
    is_site = url.startswith(("http://", "https://"))
    data = as_data(failure.history)
    timeline = "\n".join(f"    {line}" for line in failure.timeline)
    return _TEMPLATE.format(
        url=url,
        seed=failure.seed,
        promise=_harmless(failure.promise),
        why=_harmless("\n".join(textwrap.wrap(failure.why, 110))),
        steps=f"Shrunk from {failure.steps} steps to {len(failure.history.steps)}",
        timeline=_harmless(timeline),
        history=pprint.pformat(data, width=110, sort_dicts=False),
        name=name_of(failure),
        names="Staging, replay" if is_site else "replay",
        staging=", staging=Staging(token_of=str)" if is_site else "",
    )


def name_of(failure: Failure) -> str:
    """What the test is called."""
    return f"storm_{failure.seed}"


def _harmless(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''")
