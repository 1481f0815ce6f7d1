#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""parquet.py PROGRAM: reads the table that the test program `parquet` writes, and checks it.

Other tests import read_parquet. It reads what src/format/parquet.c writes, by the format's own
documents: plain values, no compression, one page per column of a row group.
"""
import os
import struct
import subprocess
import sys
import tempfile

FIXED = {1: '<i', 2: '<q', 4: '<f', 5: '<d'}


class Thrift:
    """Reads structs of Thrift's compact protocol as dictionaries of number: value."""

    def __init__(self, data, position=0):
        self.data, self.position = data, position

    def byte(self):
        self.position += 1
        return self.data[self.position - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    def value(self, kind):
        if kind in (5, 6):
            number = self.varint()
            return number >> 1 ^ -(number & 1)
        if kind == 8:
            size = self.varint()
            self.position += size
            return self.data[self.position - size:self.position]
        if kind == 9:
            head = self.byte()
            count = head >> 4 if head >> 4 < 15 else self.varint()
            return [self.value(head & 15) for _ in range(count)]
        assert kind == 12, f'type {kind} is not among those that are written'
        return self.struct()

    def struct(self):
        found, number = {}, 0
        while True:
            head = self.byte()
            if not head:
                return found
            assert head >> 4, 'a field without a distance'
            number += head >> 4
            found[number] = self.value(head & 15)


def read_levels(data, count):
    """Whether each row has a value, from runs of one level."""
    reader, levels = Thrift(data), []
    while len(levels) < count:
        head = reader.varint()
        assert head & 1 == 0, 'packed bits are not written'
        levels += [reader.byte()] * (head >> 1)
    assert len(levels) == count and reader.position == len(data)
    return levels


def read_values(data, kind, count):
    values, position = [], 0
    for _ in range(count):
        if kind == 6:
            size, = struct.unpack_from('<I', data, position)
            values.append(data[position + 4:position + 4 + size])
            position += 4 + size
        else:
            values.append(struct.unpack_from(FIXED[kind], data, position)[0])
            position += struct.calcsize(FIXED[kind])
    assert position == len(data), 'bytes after the values'
    return values


def read_chunk(data, chunk, text):
    info = chunk[3]
    reader = Thrift(data, info[9])
    head = reader.struct()
    rows, start = head[5][1], reader.position
    assert head[2] == head[3] and reader.position + head[3] == info[9] + info[7]
    size, = struct.unpack_from('<I', data, start)
    levels = read_levels(data[start + 4:start + 4 + size], rows)
    values = iter(read_values(data[start + 4 + size:start + head[3]], info[1], sum(levels)))
    return [(lambda v: v.decode() if text else v)(next(values)) if level else None for level in levels]


def read_parquet(path):
    """Returns the columns as lists by name."""
    with open(path, 'rb') as file:
        data = file.read()
    assert data[:4] == data[-4:] == b'PAR1', path
    size, = struct.unpack('<I', data[-8:-4])
    footer = Thrift(data, len(data) - 8 - size)
    info = footer.struct()
    assert footer.position == len(data) - 8, 'the footer ends elsewhere'
    root, *schema = info[2]
    assert root[5] == len(schema)
    columns = {element[4].decode(): [] for element in schema}
    for group in info[4]:
        assert group[2] == sum(chunk[3][7] for chunk in group[1])
        for element, chunk in zip(schema, group[1]):
            name, = chunk[3][3]
            assert name == element[4] and chunk[3][1] == element[1] and element[3] == 1
            columns[name.decode()] += read_chunk(data, chunk, element.get(6) == 0)
    assert all(len(values) == info[3] for values in columns.values()), 'columns of other lengths'
    return columns


def expected_row(i):
    row = {'text': f'row {i}: \u00e9 {i:01000d}', 'bytes': bytes([255, 0, i % 256])[:i % 4], 'int32': -i,
           'int64': i * -10000000000, 'float': i / 8, 'double': i / 10}
    return {name: None if (i + c) % 4 == 3 else value for c, (name, value) in enumerate(row.items())}


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'a.parquet')
        subprocess.run([sys.argv[1], path], check=True)
        columns = read_parquet(path)
        none = columns.pop('none')
        assert none == [None] * 40000, len(none)
        for i in range(40000):
            found = {name: values[i] for name, values in columns.items()}
            assert found == expected_row(i), f'row {i}: {found}'
    print('40000 rows are as they were written')


if __name__ == '__main__':
    main()
