# SPDX-License-Identifier: MIT
"""Jobs, threads and processes."""

import asyncio
import concurrent.futures
import copy
import gc
import glob
import multiprocessing
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
import vkclip
from conftest import MODEL

SAMPLES = sorted(glob.glob(MODEL + '/samples/*.png'))
TEXTS = ['a picture of owl', 'a picture of robot', '']


def test_results(model):
    """A job gives what the call gives, also where the caller's memory takes it."""
    out = np.zeros((len(TEXTS), 128), np.float32)
    texts, files = model.encode_text(TEXTS, out=out, wait=False), model.encode_files(SAMPLES, wait=False)
    assert isinstance(texts, vkclip.Job) and isinstance(texts, concurrent.futures.Future)
    assert texts.result() is out and texts.done() and not texts.running() and not texts.cancel()
    np.testing.assert_array_equal(out, model.encode_text(TEXTS))
    np.testing.assert_array_equal(files.result(), model.encode_files(SAMPLES))
    pixels, ids = model.preprocess(SAMPLES[0]), model.tokenize('owl')
    for job, expected in ((model.encode_image(SAMPLES[0], wait=False), model.encode_image(SAMPLES[0])),
                          (model.encode_pixels(pixels, wait=False), model.encode_pixels(pixels)),
                          (model.encode_tokens(ids, wait=False), model.encode_tokens(ids)),
                          (model.encode_image(SAMPLES, features='llava', wait=False),
                           model.encode_image(SAMPLES, features='llava'))):
        np.testing.assert_array_equal(job.result(), expected)
    seen = []
    job = model.encode_text(TEXTS, progress=lambda done, total: seen.append((done, total)), wait=False)
    job.result()
    assert seen[-1] == (3, 3)


def test_errors(model, tmp_path):
    with pytest.raises(vkclip.FileError, match='absent.png') as caught:
        model.encode_files(['absent.png'], wait=False).result()
    assert caught.value.code == -3
    with pytest.raises(vkclip.CancelledError):
        model.encode_text(TEXTS, progress=lambda done, total: True, wait=False).result()
    with pytest.raises(ZeroDivisionError):
        model.encode_text(TEXTS, progress=lambda done, total: 1 / 0, wait=False).result()
    with pytest.warns(RuntimeWarning, match='absent.png'):
        found = model.encode_files([SAMPLES[0], 'absent.png'], on_error='nan', wait=False).result()
    assert np.isnan(found[1]).all() and not np.isnan(found[0]).any()
    # What cannot be started leaves nothing behind.
    with pytest.raises(ValueError, match='out'):
        model.encode_text(TEXTS, out=np.zeros(3), wait=False)
    with pytest.raises(vkclip.Error):
        model.encode_tokens(np.zeros((1, 99), int), wait=False).result()


def test_cancel(model):
    entered, free = threading.Event(), threading.Event()

    def hold(done, total):
        entered.set()
        free.wait()
    first = model.encode_text(TEXTS * 500, progress=hold, wait=False)
    second = model.encode_text(TEXTS, wait=False)
    assert entered.wait(60) and first.running()
    assert second.cancel() and second.cancelled() and first.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        first.result()
    free.set()
    assert model.encode_text('owl').shape == (128,)


def test_functions_at_the_end(device, model):
    """What is called at a job's end may start jobs and close models, and its own job's model."""
    ended = threading.Event()
    other = vkclip.Model(MODEL, device=device)

    def go_on(job):
        results.append(job.result())
        other.close()
        following = model.encode_text(TEXTS, wait=False)
        following.add_done_callback(lambda job: (results.append(job.result()), ended.set()))

    results = []
    other.encode_text(TEXTS, wait=False).add_done_callback(go_on)
    assert ended.wait(60)
    np.testing.assert_array_equal(results[0], results[1])
    # A function that a job calls before its end cannot close the model.
    with pytest.raises(vkclip.Error, match='cannot close'):
        model.encode_text(TEXTS, progress=lambda done, total: model.close(), wait=False).result()
    assert not model.closed and other.closed


def test_closing_waits(device):
    model = vkclip.Model(MODEL, device=device)
    job = model.encode_text(TEXTS * 100, wait=False)
    model.close()
    assert job.done() and job.result().shape == (300, 128)
    # A job keeps what it needs, also if the program keeps nothing but the job.
    job = vkclip.Model(MODEL, device=device).encode_image(np.zeros((9, 40, 40, 3), np.uint8), wait=False)
    gc.collect()
    assert job.result().shape == (9, 128)


def test_coroutines(model):
    async def encode():
        texts, files = await asyncio.gather(model.encode_text(TEXTS, wait=False),
                                            model.encode_files(SAMPLES, wait=False))
        task = asyncio.ensure_future(asyncio.wrap_future(model.encode_text(TEXTS * 1000, wait=False)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(vkclip.FileError):
            await model.encode_files(['absent.png'], wait=False)
        return texts, files
    texts, files = asyncio.run(encode())
    np.testing.assert_array_equal(texts, model.encode_text(TEXTS))
    np.testing.assert_array_equal(files, model.encode_files(SAMPLES))


def test_threads(model):
    """Threads take turns, and Python runs while the library computes."""
    expected = model.encode_text(TEXTS)
    count = [0]
    done = threading.Event()

    def run():
        while not done.wait(0.0005):
            count[0] += 1
    counter = threading.Thread(target=run)
    counter.start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: model.encode_text(TEXTS), range(12)):
            np.testing.assert_array_equal(found, expected)
    before = count[0]
    model.encode_text(TEXTS * 100)
    assert count[0] > before + 5
    done.set()
    counter.join()


def test_end_of_the_program():
    """A program that ends while jobs run cancels them."""
    program = f'''
import vkclip
model = vkclip.Model({MODEL!r}, device=0)
first = model.encode_text(['owl'] * 100000, wait=False)
second = model.encode_text('owl', wait=False)
print(first.running())
'''
    found = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=300, check=True)
    assert found.stdout == 'True\n' and found.stderr == ''


def _use(name):
    return getattr(_models[0], name)('owl').shape


def _open(index):
    with vkclip.Model(MODEL, device=index) as model:
        return model.encode_text('owl').shape


def _finish():
    _models[0].close()
    with pytest.raises(vkclip.Error, match='forked'):
        _models[1].result()
    return _models[0].closed


_models = []


def test_processes(device, model):
    """Forked processes refuse handles of their parent, and open their own, as spawned ones do."""
    free = threading.Event()
    _models[:] = [model, model.encode_text(TEXTS, progress=lambda done, total: free.wait() and None, wait=False)]
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool:
        for name in ('encode_text', 'tokenize'):
            with pytest.raises(vkclip.Error, match='was opened by process .* forked: open it'):
                pool.submit(_use, name).result()
        assert pool.submit(_finish).result()
        assert pool.submit(_open, device.infos[0].index).result() == (128,)
        with pytest.raises(TypeError, match='a vkclip.Model cannot be pickled'):
            pool.submit(str, model).result()
    free.set()
    _models.pop().result()
    _models.clear()
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        assert pool.submit(_open, device.infos[0].index).result() == (128,)
    assert model.encode_text('owl').shape == (128,)
    for thing in (model, device):
        for function in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match='pickled or copied'):
                function(thing)
    with pytest.raises(vkclip.FileError) as caught:
        model.encode_image('absent.png')
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is vkclip.FileError and again.code == -3 and str(again) == str(caught.value)
