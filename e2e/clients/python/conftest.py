"""What every test can ask for."""

import pytest

import support


@pytest.fixture
def plugipay():
    """The unmodified client with signed requests."""
    with support.client() as client:
        yield client


@pytest.fixture
def receiver():
    """A web server on the loopback that takes webhooks."""
    server = support.Receiver()
    yield server
    server.close()
