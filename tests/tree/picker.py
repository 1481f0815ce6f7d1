#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""picker.py PICKER VKCLIP: uses the example examples/picker as a person does, on a display of its own: types and
presses keys, and compares what is picked with what the command vkclip finds. Needs Xvfb and xdotool."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

MODEL = os.path.abspath('models/emoji-clip')
SECONDS = 60  # after which a step has failed, also on a busy machine


def fail(message):
    sys.exit('FAILED: ' + message)


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=SECONDS).stdout


def wait_for(what, condition):
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            fail('%s did not happen within %d seconds' % (what, SECONDS))
        time.sleep(0.05)


def start_display(folder):
    """Starts Xvfb, which keeps what its screen shows in a file of the folder."""
    read, write = os.pipe()
    server = subprocess.Popen(['Xvfb', '-displayfd', str(write), '-screen', '0', '1000x700x24', '-nolisten', 'tcp',
                               '-fbdir', folder], pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as number:
        os.environ['DISPLAY'] = ':' + number.readline().strip()
    return server


def count_colours(folder):
    """Counts the colours on the screen, an XWD file: numbers in its head, a table, and four bytes per pixel."""
    with open(os.path.join(folder, 'Xvfb_screen0'), 'rb') as file:
        data = file.read()
    head = struct.unpack('>25I', data[:100])
    pixels = data[head[0] + 12 * head[19]:]
    return len(set(struct.unpack('%dI' % (len(pixels) // 4), pixels[:len(pixels) // 4 * 4])))


class Picker:
    def __init__(self, program, *arguments):
        self.process = subprocess.Popen([program, '--print', '--model', MODEL, *arguments], stdout=subprocess.PIPE,
                                        text=True)

    def title(self):
        """Returns the title of the window: that of the results that it shows."""
        for window in run('xdotool', 'search', '--onlyvisible', '--pid', str(self.process.pid)).split():
            title = run('xdotool', 'getwindowname', window).strip()
            if title not in ('', os.path.basename(self.process.args[0])):
                run('xdotool', 'windowfocus', window)
                return title
        return ''

    def wait(self, title):
        wait_for('the title "%s"' % title, lambda: self.title() == title)

    def keys(self, *keys):
        run('xdotool', 'key', *keys)

    def end(self, status):
        try:
            output, _ = self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            fail('the picker did not end')
        if self.process.returncode != status:
            fail('the picker ended with %d, expected %d' % (self.process.returncode, status))
        return output.splitlines()


def test(program, vkclip, work):
    pictures, index = os.path.join(work, 'pictures [1]'), os.path.join(work, 'index.db')
    shutil.copytree('models/emoji-clip/samples', pictures)
    with open(os.path.join(pictures, 'broken.png'), 'w') as broken:
        broken.write('no picture')

    def find(*query):
        found = run(vkclip, 'search', '-m', MODEL, '--index', index, '--top', '99', '--paths-only', *query).splitlines()
        if not found:
            fail('vkclip search finds nothing')
        return found

    # It is closed while it indexes, and the next one goes on.
    picker = Picker(program, '--index', index, pictures)
    wait_for('a window', picker.title)
    picker.keys('Escape')
    if picker.end(1):
        fail('a picker that was closed printed something')

    # What is typed later supersedes what was typed before.
    picker = Picker(program, '--index', index, pictures)
    picker.wait('pictures [1]')
    run('xdotool', 'type', '--delay', '20', 'pizza')
    picker.keys('ctrl+a')
    run('xdotool', 'type', '--delay', '20', 'owl')
    picker.wait('owl in pictures [1]')
    wait_for('the drawing of thumbnails', lambda: count_colours(work) > 1000)
    picker.keys('Down', 'ctrl+a', 'Return')
    picked, expected = picker.end(0), find('a picture of owl')
    if picked != expected or os.path.basename(picked[0]) != 'owl.png' or len(picked) != 14:
        fail('picked %s, expected %s' % (picked, expected))
    print('works: typing')

    # Enter picks the best. The picture that is searched for is none of the results.
    example = os.path.join(pictures, 'dog-face.png')
    picker = Picker(program, '--index', index, '--picture', example, '--query', 'penguin', pictures)
    picker.wait('penguin in pictures [1]')
    picker.keys('Return')
    picked, expected = picker.end(0), find(example, '+', 'a picture of penguin')
    if picked != expected[:1]:
        fail('picked %s, expected %s' % (picked, expected[:1]))
    print('works: a picture and a text')

    picker = Picker(program, '--index', index, '--model', os.path.join(work, 'none'), pictures)
    picker.wait('pictures [1]')
    picker.keys('Return', 'Escape')
    if picker.end(1):
        fail('a picker without a model printed something')
    print('works: a model that is missing')


def main():
    for name in 'Xvfb', 'xdotool':
        if not shutil.which(name):
            print('skipped: there is no ' + name)
            sys.exit(77)
    for name in 'DBUS_SESSION_BUS_ADDRESS', 'WAYLAND_DISPLAY', 'GTK_THEME':
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as work:
        os.environ.update(GDK_BACKEND='x11', GSK_RENDERER='cairo', GTK_A11Y='none', HOME=work, XDG_CACHE_HOME=work,
                          XDG_DATA_HOME=work, XDG_CONFIG_HOME=work)
        server = start_display(work)
        try:
            test(sys.argv[1], sys.argv[2], work)
        finally:
            server.kill()
            server.wait()


main()
