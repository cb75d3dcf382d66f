"""DNS messages over UDP and TCP."""

from __future__ import annotations

import socketserver
import struct
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from queue import SimpleQueue

import dnslib
from dnslib import CLASS, QTYPE, RCODE, DNSError, DNSRecord

from rehearsal.names.zones import Answer, View, plain, renamed, soa_record

_PLAIN_UDP_BYTES = 512
_OUR_UDP_BYTES = 1232


def reply(view: View, message: bytes, udp: bool) -> bytes | None:
    """The answer to one DNS message; None for what is no question at all."""
    try:
        request = DNSRecord.parse(message)
    except (DNSError, struct.error):
        return None
    if request.header.qr:
        return None
    response = DNSRecord(
        dnslib.DNSHeader(id=request.header.id, qr=1, aa=1, ra=1, rd=request.header.rd),
        questions=request.questions,
    )
    if request.header.opcode != 0 or len(request.questions) != 1:
        response.header.rcode = RCODE.NOTIMP
    elif request.q.qclass != CLASS.IN:
        response.header.rcode = RCODE.REFUSED
    else:
        _answer(view, response)
    room = _PLAIN_UDP_BYTES
    for extra in request.ar:
        if extra.rtype == QTYPE.OPT:
            room = max(room, extra.rclass)
            response.add_ar(dnslib.EDNS0(udp_len=_OUR_UDP_BYTES))
    packed = bytes(response.pack())
    if udp and len(packed) > room:
        packed = bytes(response.truncate().pack())
    return packed


def _answer(view: View, response: DNSRecord) -> None:
    asked = str(response.q.qname)
    name = plain(asked)
    try:
        answer = view.answer(name, QTYPE.get(response.q.qtype))
    except (DNSError, ValueError, KeyError, IndexError) as error:
        print(f"names: a record on the way from {name!r} is malformed: {error}", file=sys.stderr)
        answer = Answer((), RCODE.SERVFAIL)
    response.header.rcode = answer.rcode
    for rr in answer.records:
        # Some resolvers vary the case of a question and want it back as it was.
        response.add_answer(renamed(rr, asked) if plain(str(rr.rname)) == name else rr)
    if answer.soa is not None:
        response.add_auth(soa_record(answer.soa))


class _Datagrams(socketserver.BaseRequestHandler):
    server: _Udp

    def handle(self) -> None:
        message, socket = self.request
        answer = reply(self.server.view, message, udp=True)
        if answer is not None:
            socket.sendto(answer, self.client_address)


class _Stream(socketserver.StreamRequestHandler):
    server: _Tcp
    timeout = 10  # seconds without a question

    def handle(self) -> None:
        try:
            while len(size := self.rfile.read(2)) == 2:
                answer = reply(self.server.view, self.rfile.read(*struct.unpack("!H", size)), False)
                if answer is None:
                    return
                self.wfile.write(struct.pack("!H", len(answer)) + answer)
        except OSError:
            return  # the client went away


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = 1 << 16

    def __init__(self, address: tuple[str, int], view: View) -> None:
        self.view = view
        super().__init__(address, _Datagrams)


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], view: View) -> None:
        self.view = view
        super().__init__(address, _Stream)


def serve(
    listen: Iterable[tuple[str, int, View]], stop: SimpleQueue[None], ready: Path | None = None
) -> None:
    """Answer until `stop` holds something. The file `ready`, if named, is there meanwhile."""
    servers: list[socketserver.BaseServer] = []
    try:
        for address, port, view in listen:
            servers += [_Udp((address, port), view), _Tcp((address, port), view)]
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        if ready is not None:
            ready.touch()
        stop.get()
        for server in servers:
            server.shutdown()
    finally:
        if ready is not None:
            ready.unlink(missing_ok=True)
        for server in servers:
            server.server_close()
