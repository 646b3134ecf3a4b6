"""FarmHash's Fingerprint64, which GoogleSQL's FARM_FINGERPRINT is, as a signed number.

It is the one of the family whose values never change: ``farmhashna::Hash64``. Names follow the algorithm's own
description: four cases by length, everything modulo 2**64, words read little-endian.

Source: FarmHash (google/farmhash), Fingerprint64; GoogleSQL reference, "FARM_FINGERPRINT".
"""

from __future__ import annotations

import struct

import pyarrow as pa

__all__ = ["fingerprint64", "fingerprints"]

_MASK = (1 << 64) - 1
_K0 = 0xC3A5C85C97CB3127
_K1 = 0xB492B66FBE98F273
_K2 = 0x9AE16A3B2F90404F
_SEED = 81

_TWO = struct.Struct("<2Q").unpack_from
_FOUR = struct.Struct("<4Q").unpack_from
_EIGHT = struct.Struct("<8Q").unpack_from


def fingerprint64(data: bytes) -> int:
    """The fingerprint of *data*, from -2**63 to 2**63 - 1."""
    size = len(data)
    if size <= 16:
        value = _up_to_16(data, size)
    elif size <= 32:
        value = _up_to_32(data, size)
    elif size <= 64:
        value = _up_to_64(data, size)
    else:
        value = _longer(data, size)
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def fingerprints(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The fingerprints of many texts or bytes, NULL for NULL; equal ones are computed once."""
    encoded = values.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
        encoded = encoded if isinstance(encoded, pa.Array) else encoded.chunk(0)
    distinct = encoded.dictionary.cast(pa.binary()).to_pylist()
    return pa.array([fingerprint64(data) for data in distinct], pa.int64()).take(encoded.indices)


def _rotated(value: int, count: int) -> int:
    """*value* rotated right; it may be larger than 64 bits."""
    value &= _MASK
    return (value >> count) | (value << (64 - count)) & _MASK


def _mixed(value: int) -> int:
    value &= _MASK
    return value ^ (value >> 47)


def _pair(first: int, second: int, factor: int) -> int:
    """Two words into one."""
    step = _mixed((first ^ second) * factor)
    return _mixed((second ^ step) * factor) * factor & _MASK


def _up_to_16(data: bytes, size: int) -> int:
    factor = _K2 + size * 2
    if size >= 8:
        head = int.from_bytes(data[:8], "little") + _K2
        tail = int.from_bytes(data[-8:], "little")
        left = _rotated(tail, 37) * factor + head
        right = (_rotated(head, 25) + tail) * factor
        return _pair(left & _MASK, right & _MASK, factor)
    if size >= 4:
        head, tail = int.from_bytes(data[:4], "little"), int.from_bytes(data[-4:], "little")
        return _pair(size + (head << 3), tail, factor)
    if size:
        low = data[0] + (data[size >> 1] << 8)
        high = size + (data[-1] << 2)
        return _mixed(low * _K2 ^ high * _K0) * _K2
    return _K2


def _up_to_32(data: bytes, size: int) -> int:
    factor = _K2 + size * 2
    first, second = _TWO(data)
    fourth, third = _TWO(data, size - 16)
    first, third, fourth = first * _K1, third * factor, fourth * _K2
    left = _rotated(first + second, 43) + _rotated(third, 30) + fourth
    right = first + _rotated(second + _K2, 18) + third
    return _pair(left & _MASK, right & _MASK, factor)


def _up_to_64(data: bytes, size: int) -> int:
    factor = _K2 + size * 2
    first, second, fifth, sixth = _FOUR(data)
    seventh, eighth, fourth, third = _FOUR(data, size - 32)
    first, third, fourth = first * _K2, third * factor, fourth * _K2
    y = _rotated(first + second, 43) + _rotated(third, 30) + fourth
    z = _pair(y & _MASK, (first + _rotated(second + _K2, 18) + third) & _MASK, factor)
    fifth, seventh, eighth = fifth * factor, (y + seventh) * factor, (z + eighth) * factor
    left = _rotated(fifth + sixth, 43) + _rotated(seventh, 30) + eighth
    right = fifth + _rotated(sixth + first, 18) + seventh
    return _pair(left & _MASK, right & _MASK, factor)


def _weak(words: tuple[int, ...], a: int, b: int) -> tuple[int, int]:
    """Half a block into two words."""
    first, second, third, fourth = words
    a += first
    b = _rotated(b + a + fourth, 21)
    total = a + second + third
    return (total + fourth) & _MASK, (b + _rotated(total, 44) + a) & _MASK


def _longer(data: bytes, size: int) -> int:
    y = (_SEED * _K1 + 113) & _MASK
    z = _mixed(y * _K2 + 113) * _K2 & _MASK
    x = _SEED * _K2 + int.from_bytes(data[:8], "little")
    v, w = (0, 0), (0, 0)
    # All blocks but the last, which is taken from the end and may overlap.
    for start in range(0, (size - 1) // 64 * 64, 64):
        x, y, z, v, w = _block(_EIGHT(data, start), x, y, z, v, w, _K1, 1)
    factor = _K1 + ((z & 0xFF) << 1)
    w0 = w[0] + ((size - 1) & 63)
    v0 = v[0] + w0
    w0 += v0
    # This block does not exchange x and z.
    z, y, x, v, w = _block(_EIGHT(data, size - 64), x, y, z, (v0, v[1]), (w0, w[1]), factor, 9)
    left = _pair(v[0], w[0], factor) + _mixed(y) * _K0 + x
    right = _pair(v[1], w[1], factor) + z
    return _pair(left & _MASK, right & _MASK, factor)


def _block(
    words: tuple[int, ...], x: int, y: int, z: int, v: tuple[int, int], w: tuple[int, int], factor: int, weight: int
) -> tuple[int, int, int, tuple[int, int], tuple[int, int]]:
    """64 bytes into the state; *x* and *z* come back exchanged."""
    x = _rotated(x + y + v[0] + words[1], 37) * factor
    y = _rotated(y + v[1] + words[6], 42) * factor & _MASK
    x = (x ^ w[1] * weight) & _MASK
    y = (y + v[0] * weight + words[5]) & _MASK
    z = _rotated(z + w[0], 33) * factor & _MASK
    v = _weak(words[:4], v[1] * factor, x + w[0])
    w = _weak(words[4:], z + w[1], y + words[2])
    return z, y, x, v, w
