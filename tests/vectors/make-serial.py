#!/usr/bin/python3
"""Makes serial-frames.json: the serial protocol (docs/serial-protocol.md),
written a second time. A station's whole talk with a device, and frames for
the corners of COBS. usage: make-serial.py >serial-frames.json
"""
import hashlib
import hmac
import json
import os
import struct
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
HELLO, BEGIN, WRITE, COMMIT, PROVE, LOCK = range(1, 7)
ANSWER = 0x80
CHUNK, ROOM = 240, 4096


def cobs(data):
    """Cheshire and Baker 1999: each 00 becomes the distance to the next."""
    out, run = bytearray(), bytearray()
    for octet in data:
        if octet:
            run.append(octet)
        if not octet or len(run) == 254:
            out += bytes([len(run) + 1]) + run
            run.clear()
    return bytes(out + bytes([len(run) + 1]) + run)


def frame(kind, session, seq, payload=b"", version=1):
    body = struct.pack(">BBIHH", version, kind, session, seq, len(payload))
    body += payload
    body += struct.pack(">I", zlib.crc32(body))
    return b"\0" + cobs(body) + b"\0"


def entry(name, kind, session, seq, payload=b"", version=1):
    return {"name": name, "version": version, "type": kind,
            "session": session, "seq": seq, "payload": payload.hex(),
            "frame": frame(kind, session, seq, payload, version).hex()}


def named(text):
    return bytes([len(text)]) + text.encode()


def hello(flags, epoch, device_id):
    return bytes([0, flags]) + struct.pack(">HHI", CHUNK, ROOM, epoch) + \
        named(device_id) + named("model-1") + named("SN0001")


def derive(record, purpose):
    info = b"fealty v1\0" + purpose + b"\0" + record["device_id"].encode()
    info += b"\0" + struct.pack(">I", record["epoch"])
    return hmac.new(bytes.fromhex(record["key"]), info + b"\1",
                    hashlib.sha256).digest()


def talk(record):
    """[(request, answer)] of one burn, in session 00c0ffee."""
    octets = bytes.fromhex(record["cbor"])
    challenge = bytes(range(32))
    answer = hmac.new(derive(record, b"proof"), b"burn\0" + challenge,
                      hashlib.sha256).digest()
    steps = [("hello", HELLO, b"", hello(4, 0, ""))]
    steps.append(("begin", BEGIN, struct.pack(
        ">HI", len(octets), zlib.crc32(octets)), b"\0"))
    for at in range(0, len(octets), CHUNK):
        steps.append(("write", WRITE, struct.pack(">H", at) +
                      octets[at:at + CHUNK], b"\0"))
    steps.append(("commit", COMMIT, b"", b"\0"))
    steps.append(("prove", PROVE, challenge, b"\0" + answer))
    name = record["device_id"].encode()
    steps.append(("lock", LOCK, name, b"\0"))
    steps.append(("hello again", HELLO, b"",
                  hello(7, record["epoch"], record["device_id"])))
    steps.append(("locked", BEGIN, struct.pack(">HI", 1, 0), b"\6"))
    session = 0x00c0ffee
    return [{"request": entry(name, kind, session, seq, payload),
             "answer": entry(name, kind | ANSWER, session, seq, reply)}
            for seq, (name, kind, payload, reply) in enumerate(steps)]


def corners():
    """Runs without 00 around COBS's 254, and nothing but 00."""
    out = []
    for n in (0, 1, 239, 240, 241, 242, 243, 244, 245, 246, 255, 256):
        out.append(entry(f"ones {n}", 0x41, 0x01010101, 0x0101,
                         b"\1" * n))
        out.append(entry(f"zeros {n}", 0x41, 0, 0, b"\0" * n))
    out.append(entry("version 2", HELLO, 1, 0, version=2))
    return out


def rekeyed(record):
    """With a key whose octets differ, so that a test can look for them."""
    key = hashlib.sha256(b"serial").digest()
    body = bytes.fromhex(record["cbor"])[:-4]
    body = body.replace(bytes.fromhex(record["key"]), key)
    body += struct.pack(">I", zlib.crc32(body))
    return dict(record, key=key.hex(), cbor=body.hex())


def main():
    with open(os.path.join(HERE, "identity-record.json")) as f:
        records = json.load(f)["records"]
    record = max((r for r in records if len(r["cbor"]) < 2400),
                 key=lambda r: len(r["cbor"]))
    record = rekeyed(record)
    print(json.dumps({"record": record["cbor"], "talk": talk(record),
                      "frames": corners()}, indent=1))


main()
