"""One gRPC call spoken by hand over HTTP/2, so that it can be what no client of ours is: without a token, and with a
message that never ends."""

import socket
import struct

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
ACKNOWLEDGE, END_STREAM, END_HEADERS = 1, 1, 4
LARGEST_FRAME = 16384


def _literal(text):
    data = text.encode()
    assert len(data) < 127
    return bytes([len(data)]) + data


def _headers(fields):
    """HPACK, each field a literal without indexing and with a new name."""
    return b"".join(b"\0" + _literal(name) + _literal(value) for name, value in fields)


def _start_of_unknown_field(size):
    """How a message of this size begins that every parser takes, with zeros behind: a field that nobody knows."""
    varint, rest = b"", size - 7
    while len(varint) < 5:  # as long as it may be, whatever the size is
        varint += bytes([rest & 0x7F | (0x80 if len(varint) < 4 else 0)])
        rest >>= 7
    return b"\xc2\x3e" + varint


class RawCall:
    """A call of `method` ("salvor.v1.ControlService/Apply") on a connection of its own, up to its message."""

    def __init__(self, socket_path, method, token=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(str(socket_path))
        self.room = {0: 65535, 1: 65535}  # of the connection, and of the only stream
        self.first_room = 65535
        self.ended = False  # by the server: the call, or all of the connection
        self.received = b""
        self.answer = b""  # header blocks as they came: names and short texts are readable in them
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._send(SETTINGS, 0, 0, b"")
        fields = [(":method", "POST"), (":scheme", "http"), (":path", f"/{method}"), (":authority", "localhost"),
                  ("te", "trailers"), ("content-type", "application/grpc")]
        if token is not None:
            fields.append(("authorization", f"Bearer {token}"))
        self._send(HEADERS, END_HEADERS, 1, _headers(fields))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, announced_bytes, sent_bytes):
        """A message that announces so many bytes, of which so many are sent: as many as the server lets us, until it
        ends the call. True when all of them went."""
        text = struct.pack(">BI", 0, announced_bytes) + _start_of_unknown_field(announced_bytes)
        left = memoryview(text + b"\0" * (5 + sent_bytes - len(text)))
        while left and not self.ended:
            size = min(len(left), LARGEST_FRAME, self.room[0], self.room[1])
            if size <= 0:
                self._hear()
                continue
            try:
                self._send(DATA, 0, 1, left[:size])
            except OSError:
                self.ended = True
                break
            self.room[0] -= size
            self.room[1] -= size
            left = left[size:]
        return not left

    def finish(self):
        """Says that nothing follows, and hears the server out."""
        if not self.ended:
            try:
                self._send(DATA, END_STREAM, 1, b"")
            except OSError:
                self.ended = True
        while not self.ended:
            self._hear()
        return self.answer

    def _send(self, kind, flags, stream, payload):
        self.socket.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def _exactly(self, size):
        while len(self.received) < size:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.received += data
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def _hear(self):
        """One frame of the server's."""
        try:
            head = self._exactly(9)
            kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
            payload = self._exactly(int.from_bytes(head[:3], "big"))
            self._take(kind, flags, stream, payload)
        except ConnectionError:
            self.ended = True

    def _take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACKNOWLEDGE:
            for offset in range(0, len(payload), 6):
                setting, value = struct.unpack(">HI", payload[offset:offset + 6])
                if setting == 4:  # the first window of a stream, which changes those that are there
                    self.room[1] += value - self.first_room
                    self.first_room = value
            self._send(SETTINGS, ACKNOWLEDGE, 0, b"")
        elif kind == PING and not flags & ACKNOWLEDGE:
            self._send(PING, ACKNOWLEDGE, 0, payload)
        elif kind == WINDOW:
            self.room[stream] += struct.unpack(">I", payload)[0]
        elif kind == HEADERS:
            self.answer += payload
            self.ended = bool(flags & END_STREAM)
        elif kind in (RESET, GOAWAY):
            self.answer += payload
            self.ended = True
