"""Fixtures for every test."""

import pytest

import support


@pytest.fixture
def plugipay():
    """The unmodified client with signed requests."""
    with support.client() as client:
        yield client


@pytest.fixture
def receiver():
    """A web server on the loopback that receives webhooks."""
    server = support.Receiver()
    yield server
    server.close()
