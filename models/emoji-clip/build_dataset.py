#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The data that emoji-clip is trained on, from published packages: pictures of emoji in seven styles with four
captions each, and those of an eighth style, Twemoji, to judge it by.

    apt-get install npm librsvg2-bin python3-pil
    python3 models/emoji-clip/build_dataset.py FOLDER

Writes FOLDER/images/STYLE/CODE.png (72x72 on white), train.tsv (filepath, title, name), eval/NAME/CODE.png
(Twemoji's pictures of names that training has), labels.txt (all of Twemoji's names) and SOURCES.tsv
(packages and licences). What is random is so by SHA-256 of a text: the same packages give the same data.
Minutes on two cores. Stops at a package that is not free for every use.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import unicodedata

from PIL import Image

SIZE = 72
NAMES = 'emojibase-data@17.0.0'
HELD_OUT = 'twemoji'
STYLES = {
    'noto': '@iconify-json/noto@1.2.9',
    'noto-v1': '@iconify-json/noto-v1@1.2.5',
    'fluent-flat': '@iconify-json/fluent-emoji-flat@1.2.6',
    'fluent-color': '@iconify-json/fluent-emoji@1.2.7',
    'fluent-3d': '@lobehub/fluent-emoji-3d@1.1.0',
    'emojione': '@iconify-json/emojione@1.2.3',
    'fxemoji': '@iconify-json/fxemoji@1.2.2',
    HELD_OUT: '@iconify-json/twemoji@1.2.5',
}
FREE = {'MIT', 'Apache-2.0', 'CC-BY-4.0', 'CC0-1.0'}
NEW = 150  # names that no style shows in training
OTHER_CAPTIONS = ['an emoji of {}', 'emoji of {}', 'an icon of {}', 'a drawing of {}']
LEFT_OUT_GROUPS = (None, 2, 9)  # none, components, flags
RENAMED = {  # icons that are called otherwise than the emoji is today
    'a button (blood type)': ['a-button'],
    'AB button (blood type)': ['ab-button'],
    'B button (blood type)': ['b-button'],
    'O button (blood type)': ['o-button'],
    'counterclockwise arrows button': ['anticlockwise-arrows-button'],
    'person: blond hair': ['blond-haired-person'],
    'man: blond hair': ['blond-haired-man'],
    'woman: blond hair': ['blond-haired-woman'],
    'divide': ['division-sign'],
    'minus': ['minus-sign'],
    'plus': ['plus-sign'],
    'multiply': ['multiplication-sign'],
    'downwards button': ['down-button'],
    'grinning cat': ['grinning-cat-face'],
    'kissing cat': ['kissing-cat-face'],
    'heart exclamation': ['heavy-heart-exclamation'],
    'laptop': ['laptop-computer'],
    'person in suit levitating': ['man-in-suit-levitating'],
    'person with skullcap': ['man-with-chinese-cap', 'man-with-skullcap'],
    'men with bunny ears': ['men-with-bunny-ears-partying'],
    'women with bunny ears': ['women-with-bunny-ears-partying'],
    'people with bunny ears': ['people-with-bunny-ears-partying'],
    'backpack': ['school-backpack'],
    'UP! button': ['up-text-button'],
    'smiling cat with heart-eyes': ['smiling-cat-face-with-heart-eyes'],
    'grinning squinting face': ['smiling-face-with-open-mouth-and-closed-eyes'],
    'squinting face with tongue': ['face-with-stuck-out-tongue-and-closed-eyes'],
    'red exclamation mark': ['exclamation-mark'],
    'red question mark': ['question-mark'],
}


def draw_lot(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big')


def code_of(text):
    """Code points without the variation selector, which packages write or leave out."""
    return '-'.join(part for part in text.upper().split('-') if part != 'FE0F')


def icon_name(text):
    plain = ''.join(char for char in unicodedata.normalize('NFKD', text.lower()) if not unicodedata.combining(char))
    return re.sub(r'[^a-z0-9#*]+', '-', re.sub("['\u2019]", '', plain)).strip('-')


def caption_text(text):
    text = text.lower().replace('\u2019', "'")
    return re.sub(r'\s+', ' ', re.sub('["\u201c\u201d]', '', text)).strip()


def read_json(*path):
    with open(os.path.join(*path), encoding='utf-8') as file:
        return json.load(file)


def read_optional(*path):
    return read_json(*path) if os.path.exists(os.path.join(*path)) else {}


def fetch(package, cache):
    """The folder of an unpacked npm package."""
    folder = os.path.join(cache, re.sub(r'[^A-Za-z0-9.]+', '-', package).strip('-'))
    if os.path.isdir(folder):
        return folder
    packed = subprocess.run(['npm', 'pack', '--silent', package], cwd=cache, check=True, stdout=subprocess.PIPE,
                            text=True).stdout.split()[-1]
    shutil.rmtree(folder + '.part', ignore_errors=True)
    with tarfile.open(os.path.join(cache, packed)) as tar:
        for member in tar:
            inside = os.path.normpath(member.name).split(os.sep)[1:]
            if not member.isfile() or not inside or '..' in inside:
                continue
            path = os.path.join(folder + '.part', *inside)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as file:
                shutil.copyfileobj(tar.extractfile(member), file)
    os.rename(folder + '.part', folder)
    return folder


class Emoji:
    def __init__(self, entry):
        self.label, self.order = entry['label'], entry['order']
        self.name, self.tags = caption_text(entry['label']), entry.get('tags', [])

    def keywords(self, forbidden):
        tags = {caption_text(tag) for tag in self.tags}
        return sorted(tag for tag in tags if re.fullmatch(r"[a-z0-9][a-z0-9' -]*[a-z0-9]", tag)
                      and tag != self.name and tag not in forbidden)


def read_emoji(folder):
    return {code_of(entry['hexcode']): Emoji(entry) for entry in read_json(folder, 'en', 'data.json')
            if entry.get('group') not in LEFT_OUT_GROUPS}


class IconNames:
    """Which emoji an icon's name means: by Unicode's names, and by the packages that say it."""

    def __init__(self, emoji, folders):
        votes = collections.defaultdict(collections.Counter)
        labels = {icon_name(one.label): code for code, one in emoji.items()}
        for label, code in labels.items():
            votes[label][code] += 10
        for code in emoji:
            if '-' not in code:
                votes[icon_name(unicodedata.name(chr(int(code, 16)), '')) or '?'][code] += 1
        for folder in folders:
            for code, name in read_optional(folder, 'chars.json').items():
                if code_of(code) in emoji:
                    votes[name][code_of(code)] += 1
        for label, names in RENAMED.items():
            for name in names:
                votes[name][labels[icon_name(label)]] += 100
        self.codes = {name: min(count, key=lambda code, count=count: (-count[code], code))
                      for name, count in votes.items()}
        joined = collections.defaultdict(set)
        for name, code in self.codes.items():
            joined[name.replace('-', '')].add(code)
        self.joined = {name: min(codes) for name, codes in joined.items() if len(codes) == 1}

    def find(self, name, style):
        if style != 'fxemoji':  # whose names have no hyphens
            return self.codes.get(name)
        name = name.replace('-', '')
        return self.joined.get(name) or self.joined.get(name + 'face')


def resolve_icon(data, name):
    while name not in data['icons']:
        alias = data.get('aliases', {}).get(name)
        if not alias or any(alias.get(change) for change in ('rotate', 'hFlip', 'vFlip')):
            return None
        name = alias['parent']
    return data['icons'][name]


def svg_text(data, icon):
    """A square around the icon."""
    left, top = (icon.get(side, data.get(side, 0)) for side in ('left', 'top'))
    width, height = (icon.get(side, data.get(side, 16)) for side in ('width', 'height'))
    size = max(width, height)
    box = f'{left - (size - width) / 2:g} {top - (size - height) / 2:g} {size:g} {size:g}'
    return ('<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{SIZE}" height="{SIZE}" viewBox="{box}">{icon["body"]}</svg>')


def find_drawings(style, folder, emoji, names):
    """code -> SVG text, or the path of a picture."""
    if not os.path.exists(os.path.join(folder, 'icons.json')):
        assets = os.path.join(folder, 'assets')
        files = {code_of(file[:-5]): os.path.join(assets, file) for file in os.listdir(assets) if file.endswith('.webp')}
        return {code: path for code, path in files.items() if code in emoji}
    data, found = read_json(folder, 'icons.json'), {}
    for code, name in read_optional(folder, 'chars.json').items():
        if code_of(code) in emoji:
            found.setdefault(code_of(code), name)
    if not found:
        for name in [*data['icons'], *data.get('aliases', {})]:
            code = names.find(name, style)
            if code:
                found.setdefault(code, name)
    icons = {code: resolve_icon(data, name) for code, name in found.items()}
    return {code: svg_text(data, icon) for code, icon in icons.items() if icon}


def on_white(picture):
    picture = picture.convert('RGBA')
    return Image.alpha_composite(Image.new('RGBA', picture.size, 'white'), picture).convert('RGB')


def draw(source):
    """None: librsvg cannot draw it."""
    if not source.startswith('<'):
        picture = Image.open(source).convert('RGBA')
        size = max(picture.size)
        square = Image.new('RGBA', (size, size), (255, 255, 255, 0))
        square.paste(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
        return on_white(square).resize((SIZE, SIZE), Image.LANCZOS)
    done = subprocess.run(['rsvg-convert', '-w', str(SIZE), '-h', str(SIZE), '-f', 'png'], input=source.encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return on_white(Image.open(io.BytesIO(done.stdout))) if done.returncode == 0 else None


def write_style(style, drawings, emoji, out):
    """Draws a style; the first of several that have the very same pixels stays. Returns its codes."""
    os.makedirs(os.path.join(out, 'images', style), exist_ok=True)
    order = sorted(drawings, key=lambda code: (code.count('-'), emoji[code].order))
    seen, kept = {Image.new('RGB', (SIZE, SIZE), 'white').tobytes()}, set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, picture in zip(order, pool.map(draw, (drawings[code] for code in order))):
            if picture and picture.tobytes() not in seen:
                seen.add(picture.tobytes())
                kept.add(code)
                picture.save(os.path.join(out, picture_path(style, code)), optimize=True)
    return kept


def picture_path(style, code):
    return f'images/{style}/{code.lower()}.png'


def captions_of(name, keywords, key):
    chosen = sorted(keywords, key=lambda word: draw_lot(f'kw:{key}:{word}'))[:2]
    other = OTHER_CAPTIONS[draw_lot('t3:' + key) % len(OTHER_CAPTIONS)]
    return [name, f'a picture of {name}', other.format(name), ', '.join([name, *chosen])]


def licence_of(style, folder):
    package = read_json(folder, 'package.json')
    info = read_optional(folder, 'info.json')
    licence = info['license']['spdx'] if info else package['license']
    if licence not in FREE:
        sys.exit(f'{style}: licence {licence}, expected one of {", ".join(sorted(FREE))}')
    return [package['version'], licence, info['author']['name'] if info else 'Microsoft Corporation']


def write_table(path, rows):
    with open(path, 'w', encoding='utf-8', newline='\n') as file:
        for row in rows:
            file.write('\t'.join(row) + '\n')


def write_pairs(emoji, codes, out):
    """train.tsv, eval and labels.txt of the pictures that were drawn: `codes` of each style."""
    new = set(sorted(codes[HELD_OUT], key=lambda code: draw_lot('new:' + code))[:NEW])
    new_names = {emoji[code].name for code in new}
    order = sorted(emoji, key=lambda code: emoji[code].order)
    keywords = {code: emoji[code].keywords(new_names) for code in emoji}
    train = [[picture_path(style, code), caption, emoji[code].name]
             for style in STYLES if style != HELD_OUT
             for code in order if code in codes[style] and code not in new
             for caption in captions_of(emoji[code].name, keywords[code], f'{style}:{code}')]
    used = {row[2] for row in train}
    judged = [code for code in order if code in codes[HELD_OUT] and (code in new or emoji[code].name in used)]
    write_table(os.path.join(out, 'train.tsv'), [['filepath', 'title', 'name'], *train])
    write_table(os.path.join(out, 'labels.txt'), [[emoji[code].name] for code in judged])
    shutil.rmtree(os.path.join(out, 'eval'), ignore_errors=True)
    for code in judged:
        if code not in new:
            folder = os.path.join(out, 'eval', emoji[code].name)
            os.makedirs(folder)
            shutil.copy(os.path.join(out, picture_path(HELD_OUT, code)), folder)
    print(f'train.tsv: {len(train)} captions of {len(train) // 4} pictures, {len(used)} names; '
          f'eval: {len(judged) - len(new)} pictures, {len(judged)} labels')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n', maxsplit=1)[0])
    parser.add_argument('folder')
    out = parser.parse_args().folder
    cache = os.path.join(out, 'packages')
    os.makedirs(cache, exist_ok=True)
    emoji = read_emoji(fetch(NAMES, cache))
    folders = {style: fetch(package, cache) for style, package in STYLES.items()}
    names = IconNames(emoji, folders.values())
    codes, sources = {}, [['style', 'package', 'version', 'licence', 'author', 'pictures']]
    for style, folder in folders.items():
        licence = licence_of(style, folder)
        codes[style] = write_style(style, find_drawings(style, folder, emoji, names), emoji, out)
        sources.append([style, STYLES[style].rsplit('@', 1)[0], *licence, str(len(codes[style]))])
        print(f'{style}: {len(codes[style])} pictures, {licence[1]}', flush=True)
    write_table(os.path.join(out, 'SOURCES.tsv'), sources)
    write_pairs(emoji, codes, out)


main()
