#!/usr/bin/env python3
"""Writes identity-record.json: an encoder of docs/identity-record.md that
shares nothing with the project's two, and the ways to get it wrong."""
import json
import zlib


def head(major, n, width=None):
    if width is None:
        width = 0 if n < 24 else 1 if n < 256 else 2 if n < 65536 else 4
    if width == 0:
        return bytes([major << 5 | n])
    info = {1: 24, 2: 25, 4: 26, 8: 27}[width]
    return bytes([major << 5 | info]) + n.to_bytes(width, "big")


def uint(n, width=None):
    return head(0, n, width)


def octets(b, width=None):
    return head(2, len(b), width) + b


def text(s, width=None):
    return head(3, len(s.encode()), width) + s.encode()


def array(items):
    return head(4, len(items)) + b"".join(items)


def cose_key(k):
    return head(5, 2) + uint(1) + uint(4) + head(1, 0) + octets(k)


def peer(p):
    return array([text(p["audience"]), text(p["host"]), uint(p["port"]),
                  text(p["identity"])])


def members(r):
    return [
        (uint(1), uint(1)),
        (uint(2), text(r["issuer"])),
        (uint(3), text(r["device_id"])),
        (uint(4), uint(r["epoch"])),
        (uint(5), cose_key(bytes.fromhex(r["key"]))),
        (uint(6), array([peer(p) for p in r["peers"]])),
    ]


def crc(b):
    return zlib.crc32(b).to_bytes(4, "big")


def seal(body):
    """The checksum's key and head, and the checksum over all before it."""
    body += uint(7) + head(2, 4)
    return body + crc(body)


def join(ms):
    return b"".join(k + v for k, v in ms)


def record(r):
    return seal(head(5, 7) + join(members(r)))


def p(audience, host, port, ch):
    return {"audience": audience, "host": host, "port": port,
            "identity": ch * 44}


KEY = bytes(range(32)).hex()
BASE = {
    "issuer": "https://fealty.example", "device_id": "sn-000001",
    "epoch": 1, "key": KEY,
    "peers": [p("authority", "fealty.example", 8444, "A"),
              p("edge.plant-1", "192.0.2.7", 8883, "b")],
}
RECORDS = [
    ("two peers", BASE),
    ("the shortest", {
        "issuer": "h", "device_id": ".", "epoch": 1, "key": "00" * 32,
        "peers": [p("a", "h", 1, "-")]}),
    ("another tenant, IPv6, large numbers", {
        "issuer": "https://fealty.example:8443/t/acme",
        "device_id": "A:b_c.d-9", "epoch": 4294967295, "key": "ff" * 32,
        "peers": [p("authority", "2001:db8::1", 65535, "_"),
                  p("edge.plant-1", "edge.example", 256, "9"),
                  p("x-1", "e", 255, "Z"), p("x-2", "e", 24, "z"),
                  p("x-3", "e", 23, "0")]}),
    ("the longest", {
        "issuer": "i" * 255, "device_id": "x" * 64, "epoch": 16909060,
        "key": KEY,
        "peers": [p("%064d" % n, "h" * 253, 65535, "x")
                  for n in range(9)]}),
]


def changed(**kw):
    r = json.loads(json.dumps(BASE))
    for name, value in kw.items():
        if name.startswith("peer_"):
            r["peers"][1][name[5:]] = value
        else:
            r[name] = value
    return record(r)


def with_member(i, value, key=None):
    ms = members(BASE)
    ms[i] = (key or ms[i][0], value)
    return seal(head(5, 7) + join(ms))


def swapped(i, j):
    ms = members(BASE)
    ms[i], ms[j] = ms[j], ms[i]
    return seal(head(5, 7) + join(ms))


def bad():
    ms = members(BASE)
    good = record(BASE)
    k = bytes.fromhex(KEY)
    yield "empty map", b"\xa0"
    yield "no members but the checksum", seal(head(5, 1))
    yield "checksum of zeros", good[:-4] + bytes(4)
    yield "octets behind", good + b"\x00"
    yield "octets behind, checksummed", good + crc(good)
    yield "erased flash behind", good + b"\xff" * 16
    yield "array of members", seal(head(4, 14) + join(ms))
    yield "tagged", seal(b"\xd9\xd9\xf7" + head(5, 7) + join(ms))
    yield "map of 6", seal(head(5, 6) + join(ms))
    yield "map of 8", seal(head(5, 8) + join(ms))
    yield "map head too long", seal(head(5, 7, 1) + join(ms))
    yield "indefinite map", seal(b"\xbf" + join(ms))
    yield "an unknown member", seal(head(5, 8) + join(ms) +
                                    uint(8) + uint(0))
    for i in range(5):
        yield "members %d and %d swapped" % (i + 1, i + 2), swapped(i, i + 1)
    for i in range(6):
        short = ms[:i] + ms[i + 1:]
        yield "member %d missing" % (i + 1), seal(head(5, 6) + join(short))
        yield "member %d twice" % (i + 1), seal(
            head(5, 8) + join(ms[:i + 1] + ms[i:]))
        yield "member %d null" % (i + 1), with_member(i, b"\xf6")
        yield "member %d has its key too long" % (i + 1), with_member(
            i, ms[i][1], uint(i + 1, 1))
        yield "member %d has a text as key" % (i + 1), with_member(
            i, ms[i][1], text(str(i + 1)))
        yield "member %d is an empty text" % (i + 1), with_member(i, text(""))
        yield "member %d is an empty array" % (i + 1), with_member(
            i, array([]))
        yield "member %d is an empty map" % (i + 1), with_member(i, b"\xa0")
        yield "member %d is a float" % (i + 1), with_member(
            i, b"\xf9\x3c\x00")
        yield "member %d is negative" % (i + 1), with_member(i, b"\x20")
        yield "member %d has 2^32-1 octets" % (i + 1), with_member(
            i, b"\x5a\xff\xff\xff\xff")
        yield "member %d has 2^64-1 characters" % (i + 1), with_member(
            i, b"\x7b" + b"\xff" * 8)
        yield "member %d has 2^32-1 items" % (i + 1), with_member(
            i, b"\x9a\xff\xff\xff\xff")
        yield "member %d is a reserved item" % (i + 1), with_member(
            i, b"\x1c")
        yield "member %d is a lone break" % (i + 1), with_member(i, b"\xff")
    for v in (0, 2, 255, 256, 4294967295):
        yield "version %d" % v, with_member(0, uint(v))
    for w in (1, 2, 4, 8):
        yield "version in %d octets" % w, with_member(0, uint(1, w))
        yield "epoch in %d octets" % w, with_member(3, uint(1, w))
    yield "version as text", with_member(0, text("1"))
    yield "epoch 0", changed(epoch=0)
    yield "epoch 2^32", with_member(3, uint(1 << 32, 8))
    yield "epoch 300 in 4 octets", with_member(3, uint(300, 4))
    yield "issuer empty", changed(issuer="")
    yield "issuer of 256", changed(issuer="i" * 256)
    for ch in (" ", "\n", "\x00", "\x7f", '"', "\\", "ä"):
        yield "issuer with %r" % ch, changed(issuer="https://a" + ch + "b")
    yield "issuer as octets", with_member(1, octets(b"https://a"))
    yield "issuer in 1+1 octets", with_member(1, text("https://a", 1))
    yield "issuer in pieces", with_member(
        1, b"\x7f" + text("https:") + text("//a") + b"\xff")
    yield "device_id empty", changed(device_id="")
    yield "device_id of 65", changed(device_id="x" * 65)
    for ch in ("/", " ", "\x00", "%", "é", "{"):
        yield "device_id with %r" % ch, changed(device_id="sn" + ch + "1")
    for n in (0, 16, 31, 33, 64):
        yield "key of %d" % n, changed(key="00" * n)
    yield "key's length too long", with_member(
        4, head(5, 2) + uint(1) + uint(4) + head(1, 0) + octets(k, 2))
    yield "key in pieces", with_member(
        4, head(5, 2) + uint(1) + uint(4) + head(1, 0) + b"\x5f" +
        octets(k[:16]) + octets(k[16:]) + b"\xff")
    yield "key as text", with_member(
        4, head(5, 2) + uint(1) + uint(4) + head(1, 0) + text("k" * 32))
    yield "key of another kty", with_member(
        4, head(5, 2) + uint(1) + uint(2) + head(1, 0) + octets(k))
    yield "key without kty", with_member(4, head(5, 1) + head(1, 0) +
                                         octets(k))
    yield "key's members swapped", with_member(
        4, head(5, 2) + head(1, 0) + octets(k) + uint(1) + uint(4))
    yield "key with alg", with_member(
        4, head(5, 3) + uint(1) + uint(4) + uint(3) + uint(5) + head(1, 0) +
        octets(k))
    yield "key under -2", with_member(
        4, head(5, 2) + uint(1) + uint(4) + head(1, 1) + octets(k))
    yield "key under -1 in 2 octets", with_member(
        4, head(5, 2) + uint(1) + uint(4) + head(1, 0, 1) + octets(k))
    yield "no peers", changed(peers=[])
    yield "ten peers", changed(peers=[p("a%d" % n, "h", 1, "A")
                                      for n in range(10)])
    yield "the same audience twice", changed(peer_audience="authority")
    yield "audience empty", changed(peer_audience="")
    yield "audience of 65", changed(peer_audience="x" * 65)
    for ch in ("E", "_", ":", " ", "\x00"):
        yield "audience with %r" % ch, changed(peer_audience="e" + ch)
    yield "host empty", changed(peer_host="")
    yield "host of 254", changed(peer_host="h" * 254)
    for ch in ("/", "@", " ", "\x00", "_", "["):
        yield "host with %r" % ch, changed(peer_host="h" + ch)
    yield "port 0", changed(peer_port=0)
    yield "port 65536", changed(peer_port=65536)
    yield "port 2^32-1", changed(peer_port=4294967295)
    for n in (0, 43, 45):
        yield "identity of %d" % n, changed(peer_identity="A" * n)
    for ch in ("+", "/", "=", ".", "\x00"):
        yield "identity with %r" % ch, changed(peer_identity="A" * 43 + ch)
    one = peer(BASE["peers"][0])
    yield "peer of 3", with_member(5, head(4, 1) + head(4, 3) + one[1:])
    yield "peer of 5", with_member(5, head(4, 1) + head(4, 5) + one[1:] +
                                   uint(0))
    yield "peer as map", with_member(5, head(4, 1) + head(5, 2) + one[1:])
    yield "peers indefinite", with_member(5, b"\x9f" + one + b"\xff")
    yield "peers' head too long", with_member(5, head(4, 1, 1) + one)
    yield "fewer peers than said", with_member(5, head(4, 2) + one)
    yield "more peers than said", with_member(5, head(4, 1) + one + one)
    yield "checksum before the end", seal(
        head(5, 7) + uint(7) + octets(bytes(4)) + join(ms[:5]))
    body = head(5, 7) + join(ms) + uint(7)
    yield "checksum as text", body + head(3, 4) + crc(body + head(3, 4))
    yield "checksum's length too long", body + head(2, 4, 1) + crc(
        body + head(2, 4, 1))
    yield "checksum of 8", body + head(2, 8) + bytes(4) + crc(
        body + head(2, 8) + bytes(4))
    yield "checksum as a number", body + uint(0, 4)[:1] + crc(
        body + uint(0, 4)[:1])


print(json.dumps({
    "about": "The identity record of docs/identity-record.md. Octets in hex."
             " Each of \"refused\" has a right checksum unless it says"
             " otherwise, and must be refused.",
    "records": [{"about": a, **r, "cbor": record(r).hex()}
                for a, r in RECORDS],
    "refused": [{"about": a, "cbor": b.hex()} for a, b in bad()],
}, indent=1))
