#!/usr/bin/python3
"""Makes the pictures of this folder, and in expected/ the pixels that they decode to, as PNG files. Needs Debian's
packages python3-pil, webp, libtiff-tools, libavif-bin, libheif-examples and libjxl-tools; README.md has the versions
that made the files here. Names are EXPECTED-KIND.EXTENSION: every file must decode to expected/EXPECTED.png, exactly.
usage: make.py [FOLDER]"""
import os, struct, subprocess, sys
from PIL import Image

root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
WIDTH, HEIGHT = 45, 35
for folder in 'expected webp tiff heif jxl'.split():
    os.makedirs(f'{root}/{folder}', exist_ok=True)


def path(name):
    folder = {'png': 'expected', 'webp': 'webp', 'tif': 'tiff', 'avif': 'heif', 'heic': 'heif', 'jxl': 'jxl'}
    return f'{root}/{folder[name.rsplit(".", 1)[1]]}/{name}'


def run(*arguments):
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def picture(mode, function):
    image = Image.new(mode, (WIDTH, HEIGHT))
    image.putdata([function(x, y) for y in range(HEIGHT) for x in range(WIDTH)])
    return image


# Smooth colours, a hard edge, and values that reach 0 and 255. A quarter of the alpha is 0, and the colours under it count.
def rgb_at(x, y):
    return x * 255 // (WIDTH - 1), y * 255 // (HEIGHT - 1), (x * 7 + y * 11) % 64 * 4 if x > y else 255 - x


def alpha_at(x, y):
    return max(0, min(255, (x + y) * 5 - 60))


def grey_at(x, y):
    return (x * 5 + y * 3) % 256


rgb = picture('RGB', rgb_at)
rgba = picture('RGBA', lambda x, y: rgb_at(x, y) + (alpha_at(x, y),))
grey = picture('L', grey_at)
grey_alpha = picture('LA', lambda x, y: (grey_at(x, y), alpha_at(x, y)))
bits = picture('1', lambda x, y: 255 * ((x // 3 + y // 2) % 2 or x == y))
cmyk = picture('CMYK', lambda x, y: rgb_at(x, y) + ((x * y) % 128,))
palette = picture('P', lambda x, y: (x // 4 + y // 3) % 16)
palette.putpalette([value for i in range(16) for value in (i * 17, 255 - i * 13, i * i)])
sources = {'rgb': rgb, 'rgba': rgba, 'grey': grey, 'grey_alpha': grey_alpha, 'bits': bits, 'palette': palette}
for name, image in sources.items():
    image.save(path(name + '.png'), optimize=True)
# The channels of a CMYK picture are kept as if they were those of RGBA.
Image.frombytes('RGBA', cmyk.size, cmyk.tobytes()).save(path('cmyk.png'), optimize=True)


def expect(name, image):
    image.save(path(name + '.png'), optimize=True)


# ---- WebP -------------------------------------------------------------------------------------------
rgb.save(path('rgb-lossless.webp'), lossless=True, quality=100)
rgba.save(path('rgba-lossless.webp'), lossless=True, exact=True, quality=100)
rgb.save(path('rgb_lossy-lossy.webp'), quality=70)
expect('rgb_lossy', Image.open(path('rgb_lossy-lossy.webp')).convert('RGB'))
rgba.save(path('rgba_lossy-alpha.webp'), quality=70)
expect('rgba_lossy', Image.open(path('rgba_lossy-alpha.webp')).convert('RGBA'))
rgb.save(path('rgb_first-animated.webp'), save_all=True, append_images=[rgb.rotate(180)], lossless=True)
expect('rgb_first', Image.open(path('rgb_first-animated.webp')))
exif = Image.Exif()
exif[0x010f], exif[0x0110], exif[0x0112], exif[0x0132] = 'Maker', 'Model', 6, '2021:03:04 05:06:07'
rgb.save(path('rgb-exif.webp'), lossless=True, exif=exif)
# The first frame covers a part of the canvas, the rest of which is transparent.
rgba.crop((0, 0, 20, 15)).save(f'{root}/frame.webp', lossless=True, exact=True)
run('webpmux', '-frame', f'{root}/frame.webp', '+100+10+6+0-b', '-frame', path('rgba-lossless.webp'), '+100+0+0+0-b',
    '-o', path('rgba_frame-animated.webp'))
os.remove(f'{root}/frame.webp')
expect('rgba_frame', Image.open(path('rgba_frame-animated.webp')).convert('RGBA'))

# ---- TIFF -------------------------------------------------------------------------------------------
SHORT, LONG = 3, 4


def write_tiff(name, image, photometric, depth, samples, data, order='<', extra=(), tags=()):
    """Writes what Pillow does not: a plain strip with exactly these tags."""
    fields = [(256, LONG, [WIDTH]), (257, LONG, [HEIGHT]), (258, SHORT, [depth] * samples), (259, SHORT, [1]),
              (262, SHORT, [photometric]), (273, LONG, [8]), (277, SHORT, [samples]), (278, LONG, [HEIGHT]),
              (279, LONG, [len(data)])] + ([(338, SHORT, list(extra))] if extra else []) + list(tags)
    data += b'\0' * (len(data) % 2)
    start = 8 + len(data)
    rest, entries = b'', b''
    for tag, kind, values in sorted(fields):
        packed = struct.pack(order + ('H' if kind == SHORT else 'L') * len(values), *values)
        if len(packed) > 4:
            place = struct.pack(order + 'L', start + 2 + 12 * len(fields) + 4 + len(rest))
            rest += packed
        else:
            place = packed.ljust(4, b'\0')
        entries += struct.pack(order + 'HHL', tag, kind, len(values)) + place
    with open(path(name), 'wb') as file:
        file.write({'<': b'II', '>': b'MM'}[order] + struct.pack(order + 'HL', 42, start) + data +
                   struct.pack(order + 'H', len(fields)) + entries + bytes(4) + rest)


def tiffcp(source, name, *options):
    run('tiffcp', *options, path(source), path(name))


rgb.save(path('rgb-plain.tif'))
rgba.save(path('rgba-plain.tif'))
grey.save(path('grey-plain.tif'))
cmyk.save(path('cmyk-plain.tif'))
tiffcp('rgb-plain.tif', 'rgb-lzw.tif', '-c', 'lzw:2', '-r', '8')
tiffcp('rgb-plain.tif', 'rgb-tiles.tif', '-c', 'zip:2', '-t', '-w', '16', '-l', '16')
tiffcp('rgb-plain.tif', 'rgb-planes.tif', '-c', 'packbits', '-p', 'separate', '-r', '10')
tiffcp('rgba-plain.tif', 'rgba-planes.tif', '-c', 'lzw', '-p', 'separate', '-t', '-w', '32', '-l', '16')
tiffcp('rgb-plain.tif', 'rgb-big.tif', '-8', '-c', 'zstd', '-B')
tiffcp('cmyk-plain.tif', 'cmyk-lzw.tif', '-c', 'lzw')
tiffcp('grey-plain.tif', 'grey-lzma.tif', '-c', 'lzma')
run('tiffcp', path('rgb-plain.tif'), path('grey-plain.tif'), path('rgb-pages.tif'))
bits.save(path('bits-group4.tif'), compression='group4')
tiffcp('bits-group4.tif', 'bits-group3.tif', '-c', 'g3:2d', '-f', 'lsb2msb')
bits.save(path('bits-plain.tif'))
palette.save(path('palette-lzw.tif'), compression='tiff_lzw')
colours = [palette.getpalette()[i * 3 + c] * 257 for c in range(3) for i in range(16)]
indices = palette.tobytes()
packed = b''.join(bytes((row + b'\0')[x] << 4 | (row + b'\0')[x + 1] for x in range(0, WIDTH, 2))
                  for row in (indices[i:i + WIDTH] for i in range(0, len(indices), WIDTH)))
write_tiff('palette-four.tif', palette, 3, 4, 1, packed, tags=[(320, SHORT, colours)])
expect('grey_four', grey.point(lambda value: value // 16 * 17))
packed = b''.join(bytes((row + b'\0')[x] // 16 << 4 | (row + b'\0')[x + 1] // 16 for x in range(0, WIDTH, 2))
                  for row in (grey.tobytes()[i:i + WIDTH] for i in range(0, WIDTH * HEIGHT, WIDTH)))
write_tiff('grey_four-four.tif', grey, 1, 4, 1, packed)
write_tiff('grey_four-white.tif', grey, 0, 4, 1, bytes(255 - byte for byte in packed))
write_tiff('grey-white.tif', grey, 0, 8, 1, bytes(255 - byte for byte in grey.tobytes()))
write_tiff('grey_alpha-plain.tif', grey_alpha, 1, 8, 2, grey_alpha.tobytes(), extra=[2])
for order, name in (('<', 'little'), ('>', 'big')):
    wide = struct.pack(order + f'{WIDTH * HEIGHT}H', *(byte << 8 | 255 - byte for byte in grey.tobytes()))
    write_tiff(f'grey-{name}16.tif', grey, 1, 16, 1, wide, order)
    wide = struct.pack(order + f'{WIDTH * HEIGHT * 3}H', *(byte << 8 | 255 - byte for byte in rgb.tobytes()))
    write_tiff(f'rgb-{name}16.tif', rgb, 2, 16, 3, wide, order)
tiffcp('rgb-big16.tif', 'rgb-lzw16.tif', '-c', 'lzw:2', '-L')
write_tiff('rgba-unnamed.tif', rgba, 2, 8, 4, rgba.tobytes())
write_tiff('rgb-unspecified.tif', rgb, 2, 8, 4, rgba.tobytes(), extra=[0])
multiplied = b''.join(bytes([r * a // 255, g * a // 255, b * a // 255, a])
                      for r, g, b, a in rgba.getdata())
write_tiff('rgba_divided-associated.tif', rgba, 2, 8, 4, multiplied, extra=[1])
expect('rgba_divided', Image.open(path('rgba_divided-associated.tif')))
rgb.save(path('ycbcr-jpeg.tif'), compression='jpeg', quality=90)
tiffcp('rgb-plain.tif', 'ycbcr-jpeg.tif', '-c', 'jpeg:r:90', '-r', '16')
expect('ycbcr', Image.open(path('ycbcr-jpeg.tif')).convert('RGB'))
for orientation in (3, 6):
    upright = rgb.transpose({3: Image.ROTATE_180, 6: Image.ROTATE_90}[orientation])
    upright.save(path(f'rgb-turned{orientation}.tif'), tiffinfo={274: orientation})

# ---- AVIF, HEIC, JPEG XL ----------------------------------------------------------------------------
for name in ('rgb', 'rgba'):
    run('avifenc', '--lossless', '--speed', '6', path(name + '.png'), path(name + '-lossless.avif'))
    run('cjxl', path(name + '.png'), path(name + '-lossless.jxl'), '-d', '0')
    run('heif-enc', '-L', '-p', 'chroma=444', '--matrix_coefficients=0', path(name + '.png'), '-o',
        path(name + '-lossless.heic'))
run('avifenc', '--lossless', '--irot', '1', path('rgb.png'), path('rgb_left-turned.avif'))
expect('rgb_left', rgb.transpose(Image.ROTATE_90))
rgb.save(f'{root}/exif.png', exif=exif)
with open(f'{root}/exif', 'wb') as file:
    file.write(exif.tobytes()[6:])
run('avifenc', '-y', '420', '--min', '10', '--max', '10', path('rgb.png'), path('rgb_half-subsampled.avif'))
run('avifdec', path('rgb_half-subsampled.avif'), path('rgb_half.png'))
expect('rgb_half', Image.open(path('rgb_half.png')).convert('RGB'))
# avifenc and cjxl write the orientation of EXIF as their formats' own too.
run('avifenc', '--lossless', '--exif', f'{root}/exif', path('rgb.png'), path('rgb_upright-exif.avif'))
run('cjxl', f'{root}/exif.png', path('rgb_upright-turned.jxl'), '-d', '0')
rgb.save(path('rgb_upright-exif.tif'), compression='tiff_lzw', exif=exif)
expect('rgb_upright', rgb.transpose(Image.ROTATE_270))
run('heif-enc', '-L', '-p', 'chroma=444', '--matrix_coefficients=0', f'{root}/exif.png', '-o', path('rgb-exif.heic'))
os.remove(f'{root}/exif')
os.remove(f'{root}/exif.png')
run('cjxl', path('grey.png'), path('grey-lossless.jxl'), '-d', '0')
run('cjxl', path('grey_alpha.png'), path('grey_alpha-lossless.jxl'), '-d', '0')
run('cjxl', path('rgb.png'), path('rgb-container.jxl'), '-d', '0', '--container=1')
# Two frames, and two layers of one frame: a frame that is shown for no time is a layer.
for name, first in (('rgb-animated', 100), ('rgb_last-layers', 0)):
    rgb.save(f'{root}/frames.png', save_all=True, append_images=[rgb.rotate(180)], duration=[first, 100])
    run('cjxl', f'{root}/frames.png', path(name + '.jxl'), '-d', '0')
os.remove(f'{root}/frames.png')
expect('rgb_last', rgb.rotate(180))
with open(path('rgb-container.jxl'), 'rb') as file:
    boxes = file.read()
block = exif.tobytes()[6:]
box = struct.pack('>L4sL', 12 + len(block), b'Exif', 0) + block
with open(path('rgb-exif.jxl'), 'wb') as file:  # after the signature and the box of brands
    file.write(boxes[:32] + box + boxes[32:])
