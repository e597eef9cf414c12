#!/usr/bin/python3
"""Makes feed.json: the four signed messages of docs/feed.md, by openssl(1)
and nothing of Fealty. ECDSA is randomised: verify these, do not compare."""
import base64
import hashlib
import json
import subprocess
import tempfile

ISS = "https://id.example/t/acme"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def run(*args, data=None):
    return subprocess.run(("openssl",) + args, input=data, check=True,
                          capture_output=True).stdout


class Key:
    """A P-256 key of openssl's."""

    def __init__(self):
        self.pem = run("ecparam", "-name", "prime256v1", "-genkey",
                       "-noout")
        der = run("ec", "-pubout", "-outform", "DER", data=self.pem)
        point = der[-64:]
        self.x, self.y = b64(point[:32]), b64(point[32:])
        text = f'{{"crv":"P-256","kty":"EC","x":"{self.x}","y":"{self.y}"}}'
        self.kid = b64(hashlib.sha256(text.encode()).digest())

    def jwk(self):
        return {"kty": "EC", "crv": "P-256", "x": self.x, "y": self.y,
                "use": "sig", "alg": "ES256", "kid": self.kid}

    def sign(self, typ, claims):
        head = {"alg": "ES256", "typ": typ, "kid": self.kid}
        text = ".".join(b64(json.dumps(o, separators=(",", ":")).encode())
                        for o in (head, claims))
        with tempfile.NamedTemporaryFile() as f:
            f.write(self.pem)
            f.flush()
            der = run("dgst", "-sha256", "-sign", f.name,
                      data=text.encode())
        return f"{text}.{b64(plain(der))}"


def plain(der):
    """r and s of an ECDSA-Sig-Value, 32 octets each."""
    out, at = b"", 2
    for _ in range(2):
        n = der[at + 1]
        out += der[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + n
    return out


def event(pos, kind, ident, effect, ep_max=0, exp=0):
    return {"pos": pos, "kind": kind, "id": ident, "effect": effect,
            "ep_max": ep_max, "exp": exp, "at": "2026-11-22T17:34:37Z"}


def main():
    feed, root, token = Key(), Key(), Key()
    base = 1 << 40
    events = [event(base + 5, "device", "77", "block"),
              event(base + 6, "token", "abcDEF_-012345678901", "cut",
                    exp=1800000600),
              event(base + 7, "device", "78", "cut", ep_max=2),
              event(base + 8, "signing-key", token.kid, "cut")]
    run_of = {"after": base + 4, "head": base + 9, "run": events}
    out = {
        "about": "docs/feed.md; signed by openssl, to be verified",
        "iss": ISS, "feed": {"keys": [feed.jwk()]}, "root": root.jwk(),
        "set": feed.sign("secevent+jwt", {
            "iss": ISS, "iat": 1800000000, "jti": str(base + 8),
            "events": {"urn:fealty:event:revocations": run_of}}),
        "heartbeat": feed.sign("fealty-heartbeat+jwt", {
            "iss": ISS, "head": base + 9, "floor": base + 2,
            "time": 1800000000123}),
        "snapshot": feed.sign("fealty-snapshot+jwt", {
            "iss": ISS, "iat": 1800000000, "head": base + 9,
            "floor": base + 5, "part": 2, "parts": 3,
            "run": [events[0], events[3]]}),
        "keys": root.sign("fealty-keys+jwt", {
            "iss": ISS, "iat": 1800000000, "version": 7,
            "feed": {"keys": [feed.jwk()]},
            "token": {"keys": [token.jwk()]}}),
        "token_kid": token.kid,
    }
    print(json.dumps(out, indent=1))


main()
