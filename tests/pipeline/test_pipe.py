"""Messages arrive whole and in order, and an end that is gone is told."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from hauserpy.pipeline.pipe import Pipe


@pytest.fixture
def ends() -> Iterator[tuple[Pipe, Pipe]]:
    ours, theirs = (Pipe(end.detach()) for end in socket.socketpair())
    yield ours, theirs
    for line in (ours, theirs):
        try:
            line.close()
        except OSError:  # closed by the test
            continue


def test_messages_arrive_in_order(ends: tuple[Pipe, Pipe]) -> None:
    ours, theirs = ends
    for number in range(20):
        ours.send((number, None, b"x" * number))
    assert [theirs.recv() for _ in range(20)] == [(n, None, b"x" * n) for n in range(20)]


def test_a_message_larger_than_the_socket_holds_arrives_whole(ends: tuple[Pipe, Pipe]) -> None:
    ours, theirs = ends
    long = os.urandom(5 << 20)
    sending = threading.Thread(target=ours.send, args=(long,))
    sending.start()
    assert theirs.recv() == long
    sending.join()


def test_an_end_that_is_gone_is_told(ends: tuple[Pipe, Pipe]) -> None:
    ours, theirs = ends
    ours.send("last")
    ours.close()
    assert theirs.recv() == "last"
    with pytest.raises(EOFError):
        theirs.recv()
    with pytest.raises(OSError, match="pipe"):
        theirs.send("more")


def test_a_message_that_breaks_off_is_none(ends: tuple[Pipe, Pipe]) -> None:
    ours, theirs = ends
    os.write(ours.fileno(), (9).to_bytes(8, "little") + b"half")
    ours.close()
    with pytest.raises(EOFError):
        theirs.recv()
