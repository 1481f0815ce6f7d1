# SPDX-License-Identifier: MIT
"""Picture search."""

import datetime
import glob
import io
import os
import shutil
import signal
import threading

import numpy as np
import pytest
import vkclip
from conftest import MODEL
from PIL import Image

SAMPLES = sorted(glob.glob(MODEL + '/samples/*.png'))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Some pictures: one of them twice, one smaller as well, and a file that is none."""
    place = tmp_path_factory.mktemp('pictures')
    for name in ('owl', 'pizza', 'robot', 'rocket'):
        shutil.copy(f'{MODEL}/samples/{name}.png', place)
    shutil.copy(f'{MODEL}/samples/owl.png', place / 'copy.png')
    Image.open(f'{MODEL}/samples/pizza.png').convert('RGB').save(place / 'small.jpg', quality=95)
    (place / 'broken.png').write_bytes(open(f'{MODEL}/samples/owl.png', 'rb').read()[:200])
    os.utime(place / 'robot.png', (0, datetime.datetime(2020, 5, 17).timestamp()))
    return place


@pytest.fixture(scope='module')
def index(folder, model, tmp_path_factory):
    seen, failures = [], []
    with vkclip.Index(tmp_path_factory.mktemp('index') / 'index.db') as opened:
        with pytest.raises(vkclip.AbsentError):
            opened.search(model, 'owl')
        with pytest.raises(vkclip.InvalidArgumentError, match='folder'):
            opened.watch(0)
        result = opened.update(model, folder, thumbnails=True, progress=seen.append, on_failure=failures.append)
        assert (result.indexed, result.added, result.failed, result.encoded) == (6, 6, 1, 5)
        assert isinstance(seen[-1], vkclip.UpdateProgress) and seen[-1].found == 7
        assert [os.path.basename(failure.path) for failure in failures] == ['broken.png'] and failures[0].code < 0
        assert opened.failures() == failures
        yield opened


def names(hits):
    return [os.path.basename(hit.path) for hit in hits]


def test_what_it_is(index, folder, model):
    # The file that is broken counts as well.
    assert index.info.files == 7 and index.info.pictures == 6 and index.folders() == [str(folder)]
    assert [(entry.embed_dim, entry.vectors) for entry in index.models()] == [(128, 5)]
    assert index.update(model).encoded == 0
    assert index.watch(0) is False
    with pytest.raises(TypeError, match='seconds is'):
        index.watch('soon')
    with vkclip.Index(index.info.path, read_only=True) as other:
        assert other.info == index.info
        with pytest.raises(vkclip.Error):
            other.update(model)


def test_search(index, folder, model):
    hits = index.search(model, 'a picture of owl', top=3)
    assert names(hits)[0] in ('owl.png', 'copy.png') and hits[0].copies == 2 and len(hits) == 3
    assert hits[0].score > hits[1].score and hits[0].width == 72 and hits[0].latitude is None
    embeds = model.encode_image([hit.path for hit in hits]) @ model.encode_text('a picture of owl')
    np.testing.assert_allclose([hit.score for hit in hits], embeds, atol=1e-2)
    content = open(folder / 'robot.png', 'rb').read()
    for query in (vkclip.Query(image=folder / 'pizza.png'), vkclip.Query(text='a picture of pizza'),
                  [vkclip.Query('a picture of pizza'), vkclip.Query(image=content, weight=-0.5)]):
        assert names(index.search(model, query))[0] in ('pizza.png', 'small.jpg')
    pizza = next(hit for hit in index.search(model, 'pizza') if hit.path.endswith('pizza.png'))
    assert names(index.search(model, vkclip.Query(id=pizza.id), top=1)) == ['small.jpg']
    embed = vkclip.Query(embed=3 * model.encode_text('a picture of pizza'))
    assert index.search(model, embed)[0].score == pytest.approx(index.search(model, 'a picture of pizza')[0].score)
    with pytest.raises(vkclip.InvalidArgumentError):
        index.search(model, vkclip.Query(embed=[1, 2, 3]))
    assert index.search(model, 'pizza', min_score=0.99) == []
    dates = [hit.date for hit in index.search(model, 'pizza', sort='date')]
    assert dates == sorted(dates, reverse=True)
    for wrong, kind in ((3, TypeError), ([], vkclip.InvalidArgumentError), (vkclip.Query(), ValueError),
                        (vkclip.Query('owl', id=3), ValueError), (vkclip.Query('owl', weight=0), ValueError)):
        with pytest.raises(kind):
            index.search(model, wrong)
    with pytest.raises(TypeError, match='expected a vkclip.Model'):
        index.search('model', 'owl')


def test_filters(index, model):
    day = datetime.date(2020, 5, 17)
    for chosen, expected in ((vkclip.Filter(path_glob='r*.png'), {'robot.png', 'rocket.png'}),
                             (vkclip.Filter(before=datetime.date(2020, 5, 18)), {'robot.png'}),
                             (vkclip.Filter(after=day, before=datetime.datetime(2020, 5, 17, 1)), {'robot.png'}),
                             (vkclip.Filter(type='JPEG'), {'small.jpg'}), (vkclip.Filter(min_width=100), set()),
                             (vkclip.Filter(near=(50, 10, 5)), set()), (vkclip.Filter(camera='x'), set())):
        assert set(names(index.search(model, 'owl', filter=chosen))) == expected
    hits, embeds = index.pictures(model, filter=vkclip.Filter(before=datetime.date(2020, 5, 18)))
    assert names(hits) == ['robot.png'] and hits[0].date == datetime.datetime(2020, 5, 17)
    np.testing.assert_allclose(embeds, model.encode_files([hits[0].path]), atol=1e-3)
    np.testing.assert_array_equal(index.embedding(model, hits[0].id), embeds[0])
    with pytest.raises(vkclip.AbsentError):
        index.embedding(model, 999)
    with pytest.raises(ValueError, match='id is'):
        index.embedding(model, hits[0].id + 2 ** 64)
    for wrong, kind in (('2020', TypeError), (datetime.datetime.now(datetime.timezone.utc), ValueError)):
        with pytest.raises(kind, match='time zone|expected a date'):
            index.search(model, 'owl', filter=vkclip.Filter(after=wrong))


def test_duplicates(index, device, model):
    groups = index.duplicates()
    assert [group.kind for group in groups] == ['exact']
    assert sorted(map(os.path.basename, groups[0].paths)) == ['copy.png', 'owl.png']
    shares = []
    groups = index.duplicates(device, distance=0.05, progress=shares.append)
    assert {group.kind for group in groups} == {'exact', 'same'} and shares[-1] == 1
    same = next(group for group in groups if group.kind == 'same')
    assert sorted(map(os.path.basename, same.paths)) == ['pizza.png', 'small.jpg'] and same.cosine > 0.99
    index.forget_duplicates(*same.paths)
    assert 'same' not in {group.kind for group in index.duplicates(device, distance=0.05)}
    index.upload(model)
    assert names(index.search(model, 'a picture of robot', top=1)) == ['robot.png']


def test_contents(index, folder, model, tmp_path):
    hit = index.search(model, 'a picture of robot', top=1)[0]
    assert index.thumbnail(hit.id).shape == (72, 72, 3)
    small = np.asarray(Image.open(io.BytesIO(index.thumbnail_file(hit.id))))
    assert np.abs(small.astype(int) - index.thumbnail(hit.id)).max() < 9
    owl = index.search(model, 'a picture of owl', top=1)[0]
    assert sorted(names(index.files(owl.id))) == ['copy.png', 'owl.png']
    with index.open(hit.id) as file:
        assert file.read() == (folder / 'robot.png').read_bytes()
    for function in (index.thumbnail, index.thumbnail_file, index.files, index.open):
        with pytest.raises(vkclip.AbsentError):
            function(999)
        for wrong, kind in ((hit.id + 2 ** 64, ValueError), (str(hit.id), TypeError)):
            with pytest.raises(kind, match='id is'):
                function(wrong)
    np.testing.assert_array_equal(index.embedding(model, np.int64(hit.id)), index.embedding(model, hit.id))
    assert index.export(model, tmp_path / 'export') == 6
    assert np.load(tmp_path / 'export/img_emb/img_emb_0.npy').shape == (6, 128)
    assert index.remove(folder / 'rocket.png') == 1 and index.info.files == 6
    assert index.prune() == 0
    with pytest.raises(vkclip.Error):
        index.import_rclip(model, folder / 'owl.png')
    with pytest.raises(vkclip.UnsupportedError):
        index.add_hnsw()
    with pytest.raises(vkclip.CancelledError):
        index.update(model, progress=lambda progress: True)


def test_cancel(index, model, tmp_path):
    """The progress function of an index, exceptions and Ctrl-C end every call that takes long."""
    wish = []
    with vkclip.Index(index.info.path, progress=lambda done, total: wish and wish.pop()()) as other:
        wish.append(lambda: True)
        with pytest.raises(vkclip.CancelledError):
            other.export(model, tmp_path / 'export')
        wish.append(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            other.search(model, 'owl')
        timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            other.watch()
        timer.join()
        assert other.search(model, 'owl') and not wish
    with pytest.raises(vkclip.CancelledError):
        vkclip.Index(tmp_path / 'new.db', progress=lambda done, total: True)
    other = vkclip.Index(index.info.path)
    handle = other._handle
    del other
    assert not handle.pointer
