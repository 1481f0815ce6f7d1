# SPDX-License-Identifier: MIT
"""Makes JPEG files that take as many bytes, and as long to decode, as photographs."""
import random
import struct


def segment(marker, data):
    return struct.pack('>BBH', 0xff, marker, len(data) + 2) + data


def code_value(value):
    """How many bits a coefficient has, and the bits; a negative value is written as itself minus one."""
    size = abs(value).bit_length()
    return size, f'{value if value > 0 else value + (1 << size) - 1:0{size}b}' if size else ''


def code_block(numbers, symbols):
    """The bits of 8x8 samples: a step of their mean, some random coefficients, and the end."""
    size, bits = code_value(int(numbers.gauss(0, 6)))
    block, before = f'{size:04b}' + bits, 0
    for place in sorted(numbers.sample(range(1, 16), numbers.randint(2, 9))):
        size, bits = code_value(int(numbers.gauss(0, 40 / place)) or 1)
        block += f'{symbols.index(place - before - 1 << 4 | size):08b}' + bits
        before = place
    return block + f'{symbols.index(0):08b}'


def make_jpeg(number, width, height):
    """A JPEG file with random coefficients, which takes as many bytes as a photograph, and as long to decode."""
    numbers = random.Random(number)
    symbols = bytes([0, *(run << 4 | size for size in range(1, 11) for run in range(16))])
    # Tables of Huffman codes: how many have 1, 2, ... 16 bits, and what they stand for.
    means, others = bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12)), bytes([0] * 7 + [len(symbols)] + [0] * 8) + symbols
    blocks = [code_block(numbers, symbols) for _ in range(500)]
    bits = ''.join(numbers.choices(blocks, k=width * height // 256 * 6))
    bits += '1' * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, 'big').replace(b'\xff', b'\xff\x00')
    return (b'\xff\xd8' + segment(0xdb, b'\x00' + bytes([8] * 64)) +
            segment(0xc0, struct.pack('>BHHB', 8, height, width, 3) + b'\x01\x22\x00\x02\x11\x00\x03\x11\x00') +
            segment(0xc4, b'\x00' + means) + segment(0xc4, b'\x10' + others) +
            segment(0xda, b'\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00') + data + b'\xff\xd9')
