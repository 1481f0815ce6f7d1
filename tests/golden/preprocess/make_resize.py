#!/usr/bin/python3
"""Makes expected/resize.safetensors: three of the pictures here, resized to every fit and by every filter by Pillow, and
the centre of 16x16 pixels of each. Of NAME:40 only the first 40 columns are taken, so that Pillow resizes within columns
first. Needs Pillow; README.md has the version. Names are PICTURE|ORDER|FIT|FILTER.
usage: make_resize.py"""
import json, math, os, struct
from PIL import Image, ImageOps

root = os.path.dirname(os.path.abspath(__file__))
SIZE, FILL = 16, 77
FILTERS = {'nearest': 0, 'lanczos': 1, 'bilinear': 2, 'bicubic': 3, 'box': 4, 'hamming': 5}


def shortest(image, edge):
    shorter = min(image.size)
    return [int(edge * side / shorter) for side in image.size]


def longest(image, edge):
    ratio = max(side / edge for side in image.size)
    return [round(side / ratio) for side in image.size]


def between(image, edge, limit):
    """get_size_with_aspect_ratio of transformers"""
    width, height = image.size
    shorter, longer = min(image.size), max(image.size)
    if longer / shorter * edge <= limit:
        return shortest(image, edge)
    exact = limit * float(shorter) / float(longer)
    size = int(round(exact))
    other = int(exact * longer / shorter)
    return [size, other] if width < height else [other, size]


FITS = {
    'shortest': lambda image: shortest(image, SIZE), 'shortest20': lambda image: shortest(image, 20),
    'squash': lambda image: [SIZE, SIZE], 'squash24x20': lambda image: [24, 20],
    'longest': lambda image: longest(image, SIZE), 'between16-20': lambda image: between(image, 16, 20),
}


def centre(image, rgb_first):
    """The centre, or the picture in the middle: transformers and torchvision round differently."""
    pad = [max(SIZE - side, 0) for side in image.size]
    before = [math.ceil(p / 2) if rgb_first else p // 2 for p in pad]
    if any(pad):
        fill = 0 if rgb_first else FILL
        image = ImageOps.expand(image, (*before, *(p - b for p, b in zip(pad, before))),
                                fill=tuple([fill] * len(image.getbands())) if len(image.getbands()) > 1 else fill)
    rest = [(side - SIZE) / 2 for side in image.size]
    left, top = [int(r) if rgb_first else int(round(r)) for r in rest]
    return image.crop((left, top, left + SIZE, top + SIZE))


tensors = {}
for name in ('small_17x31.png', 'rgba.png', 'palette.bmp', 'rgba.png:40', 'palette.bmp:40'):
    for order in ('mode', 'rgb'):
        image = Image.open(f'{root}/images/{name.split(":")[0]}')
        image = image.convert('RGB') if order == 'rgb' else image
        image = image.crop((0, 0, 40, image.height)) if ':' in name else image
        for fit, size in FITS.items():
            if (fit == 'longest' and (order == 'rgb' or image.mode == 'P')) or (fit == 'between16-20' and order == 'mode'):
                continue
            for filter, number in FILTERS.items():
                if fit == 'squash' or filter in ('bilinear', 'bicubic'):
                    resized = image.resize(size(image), number)
                    tensors[f'{name}|{order}|{fit}|{filter}'] = centre(resized, order == 'rgb').convert('RGB').tobytes()
header, offset = {}, 0
for name in sorted(tensors):
    header[name] = {'dtype': 'U8', 'shape': [SIZE, SIZE, 3], 'data_offsets': [offset, offset + len(tensors[name])]}
    offset += len(tensors[name])
text = json.dumps(header, separators=(',', ':')).encode()
text += b' ' * (-len(text) % 8)
with open(f'{root}/expected/resize.safetensors', 'wb') as file:
    file.write(struct.pack('<Q', len(text)) + text + b''.join(tensors[name] for name in sorted(tensors)))
