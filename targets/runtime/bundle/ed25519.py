"""Verifies Ed25519 signatures with Python integers only, so that a device needs no library.

RFC 8032, sections 5.1.2, 5.1.3 and 5.1.7, in extended coordinates (Hisil et al. 2008). All inputs are
public, so the running time may depend on them. Signing is done by a library, on the build machine.
"""

from __future__ import annotations

import hashlib
from typing import Tuple

P = 2**255 - 19  # the field
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point
D = -121665 * pow(121666, P - 2, P) % P  # the curve is -x^2 + y^2 = 1 + d x^2 y^2
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)

Point = Tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z, x y = T/Z
ZERO: Point = (0, 1, 1, 0)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` (64 bytes) of `message` is by the key whose public half is `public` (32).

    Stricter than the RFC: points must have their canonical encoding, and keys of small order, with which
    anybody could sign, are refused.
    """
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r = _decoded(public), _decoded(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= ORDER or _same(_times(8, key), ZERO):
        return False
    challenge = hashlib.sha512(signature[:32] + public + message).digest()
    h = int.from_bytes(challenge, "little") % ORDER
    return _same(_times(s, BASE), _sum(r, _times(h, key)))


def _sum(a: Point, b: Point) -> Point:
    """Add two points (RFC 8032, 5.1.4)."""
    left = (a[1] - a[0]) * (b[1] - b[0]) % P
    right = (a[1] + a[0]) * (b[1] + b[0]) % P
    both = 2 * a[3] * b[3] * D % P
    scale = 2 * a[2] * b[2] % P
    e, f, g, h = right - left, scale - both, scale + both, right + left
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(factor: int, point: Point) -> Point:
    total = ZERO
    while factor:
        if factor & 1:
            total = _sum(total, point)
        point = _sum(point, point)
        factor >>= 1
    return total


def _same(a: Point, b: Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def _decoded(encoded: bytes) -> Point | None:
    """Return the point that 32 bytes encode (RFC 8032, 5.1.3); None if they encode none."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


_BASE = _decoded((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
assert _BASE is not None  # noqa: S101 - a constant of the curve
BASE: Point = _BASE
