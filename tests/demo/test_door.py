"""Who stands in for real people ends with the demonstration, also where its server goes away in the middle."""

import socket
import threading

import pytest

from pipeline.demo.door import Door, EndedError

HALF_A_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n: hi\n\r\n"
)


def test_a_stream_that_is_cut_off_at_the_end_of_all_is_the_end() -> None:
    stop, listening = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listening.accept()
        peer.recv(65_536)
        peer.sendall(HALF_A_STREAM)
        stop.set()
        peer.close()

    server = threading.Thread(target=serve)
    server.start()
    door = Door(f"http://127.0.0.1:{listening.getsockname()[1]}", stop)
    try:
        with pytest.raises(EndedError):
            door.first_line("/desk/events", b"data: ", {})
    finally:
        server.join(60)
        door.close()
        listening.close()
