"""A serial port that another machine serves on the network, as docs/systems.md says for WSL."""

import socket
import threading
from contextlib import contextmanager

import pytest

from firmware.link import LinkError
from firmware.ports import connect
from tests.firmware.fake import FakeDevice


@contextmanager
def served(device):
    """URL of a raw socket with the device at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()
        server.settimeout(0.05)

        def serve():
            while not ended.is_set():
                try:
                    peer, _ = server.accept()
                except TimeoutError:
                    continue
                with peer:
                    peer.settimeout(0.05)
                    while not ended.is_set():
                        try:
                            data = peer.recv(4096)
                        except TimeoutError:
                            continue
                        except ConnectionResetError:
                            break
                        if not data:
                            break
                        for _, answer in device.take(data):
                            peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


def test_a_device_at_a_socket():
    with served(FakeDevice()) as url, connect(url, baud=6_000_000) as device:
        assert device.info.network_name == "tiny"
        image = bytes(range(72))
        for result in device.classify([image] * 20):
            assert result.logits == [byte - 100 for byte in range(14)]


def test_nobody_serves():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(LinkError, match=f"^Port socket://127.0.0.1:{port} cannot be opened: "):
        with connect(f"socket://127.0.0.1:{port}", baud=6_000_000):
            pass
