# SPDX-License-Identifier: MIT
"""Programs for OpenAI's and OpenCLIP's packages run with only the imports changed."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import vkclip
from conftest import MODEL
from PIL import Image
from vkclip import clip, open_clip, sentence_transformers, torch, transformers
from vkclip._array import Array, as_array
from vkclip._library import check, lib

# These programs make the calls that the examples in the README.md of each project make, in their order.
PREDICTION = '''
import torch
import clip
from PIL import Image

place = "cuda" if torch.cuda.is_available() else "cpu"
model, preprocess = clip.load("ViT-B/32", device=place)
picture = preprocess(Image.open("CLIP.png")).unsqueeze(0).to(place)
words = clip.tokenize(LABELS).to(place)
with torch.no_grad():
    by_picture, by_text = model(picture, words)
    probs = by_picture.softmax(dim=-1).cpu().numpy()
print(probs)
'''
ZERO_SHOT = '''
import clip
import torch
from PIL import Image

place = "cuda" if torch.cuda.is_available() else "cpu"
model, preprocess = clip.load("ViT-B/32", place)
pictures = preprocess(Image.open("CLIP.png")).unsqueeze(0).to(place)
words = torch.cat([clip.tokenize(f"a photo of a {name}") for name in CLASSES]).to(place)
with torch.no_grad():
    seen, read = model.encode_image(pictures), model.encode_text(words)
seen /= seen.norm(dim=-1, keepdim=True)
read /= read.norm(dim=-1, keepdim=True)
values, indices = (100.0 * seen @ read.T).softmax(dim=-1)[0].topk(5)
for value, index in zip(values, indices):
    print(f"{CLASSES[index]:>12s} {100 * value.item():.2f}")
'''
OPEN_CLIP = '''
import torch
import open_clip
from PIL import Image

model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32-quickgelu", pretrained="laion400m_e32")
model.eval()
tokenizer = open_clip.get_tokenizer("ViT-B-32-quickgelu")
picture, words = preprocess(Image.open("CLIP.png")).unsqueeze(0), tokenizer(LABELS)
with torch.no_grad(), torch.cuda.amp.autocast(), torch.autocast("cuda"):
    seen, read = model.encode_image(picture), model.encode_text(words)
    seen /= seen.norm(dim=-1, keepdim=True)
    read /= read.norm(dim=-1, keepdim=True)
    probs = (100.0 * seen @ read.T).softmax(dim=-1)
print(probs)
'''
SENTENCES = '''
from sentence_transformers import SentenceTransformer, util
from PIL import Image

model = SentenceTransformer("clip-ViT-B-32")
seen = model.encode(Image.open("CLIP.png"))
read = model.encode(LABELS)
cosines = util.cos_sim(seen, read)
print(cosines, model.similarity(seen, read))
'''
# What notebooks about search and duplicates do with embeddings.
NOTEBOOKS = '''
import torch
from sentence_transformers import SentenceTransformer, util
from PIL import Image

torch.set_num_threads(2)
model = SentenceTransformer("sentence-transformers/clip-ViT-B-32", device="cpu")
seen = model.encode([Image.open("CLIP.png")] * 3, batch_size=2, convert_to_tensor=True, show_progress_bar=True)
read = model.encode(LABELS, convert_to_tensor=True, show_progress_bar=False)
scores = util.cos_sim(seen, read)
found = [LABELS[i] for i in torch.argmax(scores, dim=1)]
best, _ = scores.topk(k=2, largest=True)
worst = scores[0].topk(k=1, largest=False).indices.tolist()
hits = util.semantic_search(model.encode([LABELS[1]], convert_to_tensor=True), seen, top_k=1)[0]
pairs = util.paraphrase_mining_embeddings(seen)
util.http_get("file:CLIP.png", "folder/copy.png")
'''
TRANSFORMERS = '''
from transformers import CLIPModel, CLIPProcessor
from PIL import Image

model = CLIPModel.from_pretrained("openai/clip-vit-base-patch32")
processor = CLIPProcessor.from_pretrained("openai/clip-vit-base-patch32")
inputs = processor(text=LABELS, images=Image.open("CLIP.png"), return_tensors="pt", padding=True)
outputs = model(**inputs)
probs = outputs.logits_per_image.softmax(dim=1)
'''
AUTO = '''
import torch
from transformers import AutoModel, AutoProcessor, AutoTokenizer, pipeline
from PIL import Image

options = {"dtype": torch.bfloat16, "attn_implementation": "sdpa", "device_map": "cuda"}
model = AutoModel.from_pretrained("openai/clip-vit-base-patch32", **options)
processor = AutoProcessor.from_pretrained("openai/clip-vit-base-patch32")
inputs = processor(text=LABELS, images=Image.open("CLIP.png"), return_tensors="pt", padding=True).to("cuda")
with torch.no_grad(), torch.autocast("cuda"):
    probs = model(**inputs).logits_per_image.softmax(dim=1)
best = probs.argmax(dim=1).item()
print(f"{LABELS[best]} {probs[0][best].item():.3f}")
tokenizer = AutoTokenizer.from_pretrained("openai/clip-vit-base-patch32")
with torch.inference_mode():
    texts = model.get_text_features(**tokenizer(LABELS, padding=True, return_tensors="pt"))
classify = pipeline(task="zero-shot-image-classification", model="openai/clip-vit-base-patch32", device=0,
                    dtype=torch.bfloat16)
scores = classify("CLIP.png", candidate_labels=LABELS)
several = classify(images, candidate_labels="a diagram, a cat", hypothesis_template="{}")
'''
SOURCE = os.path.abspath(MODEL)
LABELS = ['a diagram', 'a picture of dog face', 'a cat']
REPOSITORIES = ['openai--clip-vit-base-patch32', 'timm--vit_base_patch32_clip_224.laion400m_e32']
CLASSES = ['owl', 'pizza', 'robot', 'rocket', 'penguin', 'rainbow']


@pytest.fixture
def hub(tmp_path, monkeypatch, device):
    """The folder of a program, and a cache of the hub in which the snippets' models are the project's own one."""
    for repository in REPOSITORIES:
        folder = tmp_path / 'hub' / f'models--{repository}'
        commit = '0' * 40
        (folder / 'refs').mkdir(parents=True)
        (folder / 'refs' / 'main').write_text(commit)
        shutil.copytree(MODEL, folder / 'snapshots' / commit, ignore=lambda *_: ['samples'])
    shutil.copy(MODEL + '/samples/dog-face.png', tmp_path / 'CLIP.png')
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setenv('VKCLIP_DEVICE', str(device.infos[0].index))
    monkeypatch.chdir(tmp_path)
    check(lib.vkclip_read_environment())  # as an import would do it
    yield tmp_path
    monkeypatch.undo()
    check(lib.vkclip_read_environment())


def run(program, **variables):
    """Runs a program with other imports and returns its variables."""
    names = {'LABELS': LABELS, 'CLASSES': CLASSES, **variables}
    program = re.sub(r'^import (torch|clip|open_clip)$', r'from vkclip import \1', program, flags=re.MULTILINE)
    exec(re.sub(r'^from (\w*transformers) ', r'from vkclip.\1 ', program, flags=re.MULTILINE), names)
    return names


def choose(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def test_prediction(hub, capsys, model):
    names = run(PREDICTION)
    np.testing.assert_allclose(names['probs'], model.classify(['CLIP.png'], LABELS), atol=1e-5)
    assert type(names['probs']) is np.ndarray and names['probs'].shape == (1, 3)
    assert capsys.readouterr().out == f'{names["probs"]}\n'
    np.testing.assert_array_equal(names['by_text'], names['by_picture'].T)


def test_zero_shot(hub, capsys, model):
    run(ZERO_SHOT)
    texts = model.encode_text([f'a photo of a {name}' for name in CLASSES])
    probs = choose(100 * texts @ model.encode_image('CLIP.png'))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line, index in zip(lines, np.argsort(-probs)):
        name, value = line.split()
        assert name == CLASSES[index] and abs(float(value) - 100 * probs[index]) < 0.02


def test_open_clip(hub, model):
    expected = choose(100 * model.encode_image('CLIP.png') @ model.encode_text(LABELS).T)
    np.testing.assert_allclose(run(OPEN_CLIP)['probs'], [expected], atol=1e-5)


def test_sentence_transformers(hub, model):
    names = run(SENTENCES)
    cosines = model.encode_image('CLIP.png') @ model.encode_text(LABELS).T
    np.testing.assert_allclose(names['cosines'], [cosines], atol=1e-5)
    np.testing.assert_array_equal(names['model'].similarity(names['seen'], names['read']), names['cosines'])
    # Embeddings have their norms, and of a mixed list the order stays.
    np.testing.assert_allclose(names['seen'], model.encode_image('CLIP.png', normalize=False), atol=1e-5)
    sentences, picture = names['model'], Image.open('CLIP.png')
    mixed = sentences.encode(['CLIP.png', picture, LABELS[1]], batch_size=1, normalize_embeddings=True)
    expected = np.stack([*model.encode_text(['CLIP.png']), model.encode_image(picture), model.encode_text(LABELS[1])])
    np.testing.assert_allclose(mixed, expected, atol=1e-5)
    assert type(mixed) is np.ndarray and isinstance(sentences.encode(['x'], convert_to_tensor=True), Array)
    short = sentences.encode(LABELS, truncate_dim=16, normalize_embeddings=True)
    assert short.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, rtol=1e-5)
    found = sentence_transformers.util.semantic_search(names['seen'], names['read'], top_k=2)
    assert [hit['corpus_id'] for hit in found[0]] == list(np.argsort(-cosines)[:2])
    assert sentences.get_sentence_embedding_dimension() == 128 and sentences.max_seq_length == 32
    with pytest.raises(vkclip.UnsupportedError, match='precision'):
        sentences.encode(LABELS, precision='int8')


def test_notebooks(hub):
    names = run(NOTEBOOKS)
    assert names['found'] == [LABELS[1]] * 3 and names['best'].shape == (3, 2) and names['worst'] != [1]
    assert names['hits'][0]['score'] == pytest.approx(names['scores'][0, 1], abs=1e-5)
    assert len(names['pairs']) == 3 and names['pairs'][0][0] == pytest.approx(1, abs=1e-5)
    assert os.path.getsize('folder/copy.png') == os.path.getsize('CLIP.png') and len(os.listdir('folder')) == 1
    with pytest.raises(vkclip.UnsupportedError, match='text encoder for another model'):
        sentence_transformers.SentenceTransformer('clip-ViT-B-32-multilingual-v1')


def test_transformers(hub, model):
    names = run(TRANSFORMERS)
    np.testing.assert_allclose(names['probs'], model.classify(['CLIP.png'], LABELS), atol=1e-5)
    inputs, outputs, processor = names['inputs'], names['outputs'], names['processor']
    ids, mask = inputs['input_ids'], inputs.attention_mask
    assert ids.dtype == np.int64 and ids.shape == mask.shape and mask.sum(1).max() == ids.shape[1] < 32
    np.testing.assert_array_equal(ids, model.tokenize(LABELS)[:, :ids.shape[1]])
    np.testing.assert_allclose(outputs.text_embeds, model.encode_text(LABELS), atol=1e-5)
    np.testing.assert_allclose(names['model'].get_text_features(**processor(text=LABELS, padding='max_length')),
                               model.encode_text(LABELS, normalize=False), atol=1e-5)
    np.testing.assert_allclose(names['model'].get_image_features(inputs.pixel_values),
                               model.encode_image(['CLIP.png'], normalize=False), atol=1e-5)
    with pytest.raises(ValueError, match='padding'):
        processor(text=LABELS)
    with pytest.raises(vkclip.TextTooLongError):
        processor(text='owl ' * 100)
    assert processor(text='owl ' * 100, truncation=True).input_ids.shape == (1, 32)
    with pytest.raises(ValueError):
        names['model'](**processor(text=LABELS, padding=True))


def test_auto(hub, capsys, model):
    with open('CLIP.png', 'rb') as file:
        names = run(AUTO, images=[Image.open('CLIP.png'), file.read()])
    expected = model.classify('CLIP.png', LABELS)
    assert capsys.readouterr().out == f'{LABELS[1]} {expected[1]:.3f}\n'
    np.testing.assert_allclose(names['texts'], model.encode_text(LABELS, normalize=False), atol=1e-5)
    expected = model.classify('CLIP.png', LABELS, 'This is a photo of {}.')
    assert [score['label'] for score in names['scores']] == [LABELS[i] for i in np.argsort(-expected)]
    np.testing.assert_allclose([score['score'] for score in names['scores']], np.sort(expected)[::-1], atol=1e-5)
    assert len(names['several']) == 2 and names['several'][0] == names['several'][1]
    assert {score['label'] for score in names['several'][0]} == {'a diagram', 'a cat'}
    assert transformers.pipeline('zero-shot-image-classification', names['model']).model is names['model'].model
    for refused in ('image-classification', None):
        with pytest.raises(vkclip.UnsupportedError, match='zero-shot-image-classification'):
            transformers.pipeline(refused)
    assert transformers.AutoImageProcessor.from_pretrained(str(hub / 'hub'/ f'models--{REPOSITORIES[0]}/snapshots' /
                                                               ('0' * 40)))('CLIP.png').pixel_values.ndim == 4


def read_case(folder):
    with open(f'tests/golden/{folder}/case.safetensors', 'rb') as file:
        size = int.from_bytes(file.read(8), 'little')
        entries, data = json.loads(file.read(size)), file.read()
    kinds = {'F32': np.float32, 'F64': np.float64, 'I32': np.int32, 'I64': np.int64}
    return {name: np.frombuffer(data[slice(*entry['data_offsets'])], kinds[entry['dtype']]).reshape(entry['shape'])
            for name, entry in entries.items() if name != '__metadata__'}


def test_reference(device):
    """Logits are those of the packages themselves."""
    case = read_case('models/openai-vit')
    index = str(device.infos[0].index)
    model, _ = clip.load('tests/golden/models/openai-vit/model.pt', index)
    images, texts = model.eval()(case['pixel_values'], case['input_ids'])
    np.testing.assert_allclose(images, case['logits_per_image'], atol=1e-3)
    np.testing.assert_allclose(texts, case['logits_per_image'].T, atol=1e-3)
    assert model.visual.input_resolution == case['pixel_values'].shape[-1]
    case = read_case('models/openclip-vit')
    model = open_clip.create_model('local-dir:tests/golden/models/openclip-vit', device=index)
    images, texts, scale = model(case['pixel_values'], case['input_ids'])
    np.testing.assert_allclose(scale * images @ texts.T, case['logits_per_image'], atol=1e-3)
    np.testing.assert_allclose(model.get_logits(case['pixel_values'], case['input_ids'])[0], case['logits_per_image'],
                               atol=1e-3)


def test_functions(device, model):
    index = str(device.infos[0].index)
    loaded, preprocess = clip.load(MODEL, index)
    assert 'ViT-B/32' in clip.available_models() and 'ViT-B-32' in open_clip.list_models()
    assert clip.tokenize('owl').shape == (1, 32) and clip.tokenize(['owl'], 20).dtype == np.int32
    with pytest.raises(RuntimeError, match='expected at most 32'):
        clip.tokenize('owl ' * 100)
    assert clip.tokenize('owl ' * 100, truncate=True).shape == (1, 32)
    assert not loaded.training and loaded.eval().to('cpu').float() is loaded
    folder = 'local-dir:' + MODEL
    created, transform = open_clip.create_model_from_pretrained(folder, device=index)
    tokenizer = open_clip.get_tokenizer(folder)
    ids = tokenizer('owl ' * 100)
    assert ids.shape == (1, 32) and ids.dtype == np.int64
    assert open_clip.get_tokenizer(folder, context_length=9)('owl').shape == (1, 9)
    assert 'owl' in tokenizer.decode(ids[0])
    picture = os.path.join(MODEL, 'samples/owl.png')
    np.testing.assert_array_equal(transform(picture), preprocess(Image.open(picture)))
    templates = ['a picture of {}', lambda name: f'a {name}']
    classifier = open_clip.build_zero_shot_classifier(created, tokenizer, CLASSES, templates)
    expected = model.encode_labels(CLASSES, ['a picture of {}', 'a {}'])
    np.testing.assert_allclose(classifier, expected.T, atol=1e-5)
    for options in ({'force_quick_gelu': True}, {'force_image_size': (64, 32)}):
        with pytest.raises(vkclip.UnsupportedError):
            open_clip.create_model(folder, device=index, **options)
    with pytest.raises(vkclip.UnsupportedError, match='weights'):
        open_clip.create_model('ViT-B-32')
    with pytest.raises(RuntimeError, match='before'):
        open_clip.get_tokenizer('ViT-L-14')
    with pytest.raises(vkclip.UnsupportedError, match='MobileCLIP'):
        open_clip.create_model('MobileCLIP-S1', 'datacompdr', device=index)


def test_array():
    """The methods of tensors give what PyTorch's give."""
    array = as_array(np.array([[3, 4, 0], [1, 2, 2]], np.float32))
    np.testing.assert_allclose(array.norm(dim=-1, keepdim=True), [[5], [3]])
    assert float(array.norm()) == pytest.approx(34 ** 0.5)
    np.testing.assert_allclose(array.softmax(dim=0).sum(0), [1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(as_array(np.array([1e4, 0], np.float32)).softmax(-1), [1, 0])
    values, indices = array.topk(2)
    np.testing.assert_array_equal(values, [[4, 3], [2, 2]])
    np.testing.assert_array_equal(indices, [[1, 0], [1, 2]])
    np.testing.assert_array_equal(array.topk(1, dim=0).values, [[3, 4, 2]])
    with pytest.raises(ValueError):
        array.topk(4)
    np.testing.assert_array_equal(array.argmax(dim=1), [1, 1])
    np.testing.assert_array_equal(array.argmax(dim=1, keepdim=True), [[1], [1]])
    np.testing.assert_array_equal(np.argmax(array, 0), [0, 0, 1])
    assert np.mean(array, axis=0).shape == (3,) and array.mean(dim=0, keepdim=True).shape == (1, 3)
    assert array.unsqueeze(0).shape == (1, 2, 3) and array.unsqueeze(0).squeeze(0).shape == (2, 3)
    assert array.squeeze(0) is array and np.squeeze(array[None]).shape == (2, 3)
    assert array.half().dtype == np.float16 and array.to('cuda').to(torch.float64).dtype == np.float64
    assert type(array.numpy()) is np.ndarray and isinstance(torch.cat([array, array], dim=1), Array)
    assert torch.stack([array, array]).shape == (2, 2, 3) and torch.tensor([1]).long().dtype == np.int64
    assert float(as_array(np.float32(0)).exp()) == 1 and float(as_array(np.float32(0)).sigmoid()) == 0.5
    copy = array.clone()
    copy /= 2
    assert array[0, 0] == 3 and copy[0, 0] == 1.5 and array.t().shape == (3, 2) and array.dim() == 2


def test_lists():
    """The lists are those of the library's table of published models."""
    pairs = open_clip.list_pretrained()
    assert ('ViT-B-32', 'laion2b_s34b_b79k') in pairs and ('RN50-quickgelu', 'openai') in pairs
    assert 'ViT-B-32:openai' in open_clip.list_pretrained(as_str=True)
    assert 'openai' in open_clip.list_pretrained_tags_by_model('ViT-B-32')
    assert 'RN50' in open_clip.list_pretrained_models_by_tag('openai')
    assert {'ViT-B-32', 'ViT-B-16-SigLIP'} <= set(open_clip.list_models())
    models = {model.name: model for model in vkclip.published_models()}
    assert models['ViT-B/32'].repository == 'openai/clip-vit-base-patch32' and models['ViT-B/32'].embed_dim == 512
    assert not any(models[name].obstacle for name in clip.available_models() if name in models)
    refused = next(model for model in models.values() if model.obstacle)
    assert refused.name not in open_clip.list_pretrained(as_str=True)
    with pytest.raises(vkclip.UnsupportedError, match='does not run this model'):
        clip.load(refused.name)


def fill_cache(cache, repository):
    """Does what a client of the hub does, and returns the folder."""
    folder = cache / f'models--{repository.replace("/", "--")}'
    snapshot = folder / 'snapshots' / ('1' * 40)
    (folder / 'refs').mkdir(parents=True)
    (folder / 'refs/main').write_text('1' * 40)
    shutil.copytree(SOURCE, snapshot, ignore=lambda *_: ['samples'])
    return str(snapshot)


def test_downloads(hub, monkeypatch):
    """What is not in the cache comes by Hugging Face's client, or by the command, or an error says what to do."""
    asked = []

    class Client(types.ModuleType):
        def list_repo_files(self, repo_id, revision):
            return ['README.md', 'config.json', 'model.safetensors', 'pytorch_model.bin']

        def snapshot_download(self, repo_id, revision, allow_patterns, cache_dir):
            asked.append((repo_id, revision, allow_patterns[-1]))
            if repo_id.startswith('nobody/'):
                raise OSError('no connection')
            return fill_cache(pathlib.Path(cache_dir or hub / 'hub'), repo_id)

    monkeypatch.setitem(sys.modules, 'huggingface_hub', Client('huggingface_hub'))
    model, preprocess = clip.load('ViT-L/14')
    assert asked == [('openai/clip-vit-large-patch14', None, 'model.safetensors')]
    assert model.encode_image(preprocess('CLIP.png')[None]).shape == (1, 128) and clip.tokenize('owl').shape == (1, 32)
    clip.load('ViT-L/14')
    assert len(asked) == 1
    created = open_clip.create_model('ViT-B-32', pretrained='laion2b_s34b_b79k', cache_dir=str(hub / 'other'))
    assert asked[1][0] == 'laion/CLIP-ViT-B-32-laion2B-s34B-b79K' and created.visual.image_size == (64, 64)
    assert (hub / 'other').is_dir()
    assert vkclip.is_cached('ViT-L/14') and not vkclip.is_cached('ViT-B-32:laion2b_s34b_b79k')
    assert vkclip.is_cached('ViT-B-32:laion2b_s34b_b79k', hub_dir=hub / 'other')
    with pytest.raises(vkclip.FileError, match='cannot be downloaded: no connection'):
        transformers.CLIPModel.from_pretrained('nobody/nothing')
    with pytest.raises(vkclip.FileError, match="'vkclip pull nobody/nothing'"):
        transformers.CLIPModel.from_pretrained('nobody/nothing', local_files_only=True)
    with pytest.raises(vkclip.FileError, match='no such file'):
        clip.load('./nothing')
    assert len(asked) == 3

    # Without the client.
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    monkeypatch.setenv('PATH', str(hub))
    with pytest.raises(vkclip.FileError, match="'pip install huggingface_hub'.*'vkclip pull ViT-B/16'"):
        clip.load('ViT-B/16')
    command = hub / 'vkclip'
    command.write_text(f'#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ["pull", "ViT-B/16"]\n'
                       f'print({fill_cache(hub / "hub", "openai/clip-vit-base-patch16")!r})\n')
    command.chmod(0o755)
    shutil.rmtree(hub / 'hub/models--openai--clip-vit-base-patch16/refs')
    assert vkclip.pull('ViT-B/16').endswith('/snapshots/' + '1' * 40)
    assert clip.load('ViT-B/16')[0].visual.input_resolution == 64
    command.write_text('#!/bin/sh\nexit 3\n')
    with pytest.raises(vkclip.FileError, match='failed'):
        vkclip.pull('ViT-B/16')


def test_util():
    """The functions for embeddings give what sentence-transformers gives."""
    util = sentence_transformers.util
    rows = np.array([[1, 0], [2, 0.2], [0, 3], [0, 0]], np.float32)
    cosines = util.cos_sim(rows, rows[0])
    np.testing.assert_allclose(cosines[:, 0], [1, 2 / 4.04 ** 0.5, 0, 0], atol=1e-6)
    assert isinstance(cosines, Array) and util.pytorch_cos_sim is util.cos_sim
    np.testing.assert_allclose(util.dot_score(list(rows), rows), rows @ rows.T)
    np.testing.assert_allclose(util.pairwise_cos_sim(rows[:2], rows[1:3]), [2 / 4.04 ** 0.5, 0.2 / 4.04 ** 0.5])
    np.testing.assert_allclose(util.pairwise_dot_score(rows[:2], rows[1:3]), [2, 0.6], rtol=1e-6)
    assert util.truncate_embeddings(rows, 1).shape == (4, 1)
    pairs = util.paraphrase_mining_embeddings(rows[:3])
    assert [pair[1:] for pair in pairs] == [[0, 1], [1, 2], [0, 2]] and pairs[0][0] > 0.99
    assert util.community_detection(np.concatenate([rows[:3], rows[:2]]), 0.9, 2) == [[0, 1, 3, 4]]
    hits = util.semantic_search(rows[:2], rows, top_k=2)
    assert [[hit['corpus_id'] for hit in found] for found in hits] == [[0, 1], [1, 0]]


def test_pytorch(hub):
    """A program that has imported PyTorch gets its tensors."""
    program = """
import torch
from vkclip import clip, open_clip
from vkclip.sentence_transformers import SentenceTransformer, util
from vkclip.transformers import CLIPModel, CLIPProcessor
from PIL import Image
model, preprocess = clip.load("ViT-B/32", device="cuda" if torch.cuda.is_available() else "cpu")
picture = preprocess(Image.open("CLIP.png")).unsqueeze(0)
words = torch.cat([clip.tokenize(f"a photo of a {name}") for name in ["owl", "pizza"]])
seen, read = model.encode_image(picture), model.encode_text(words)
seen /= seen.norm(dim=-1, keepdim=True)
logits, _ = model(picture, words)
found = CLIPModel.from_pretrained("openai/clip-vit-base-patch32")(**CLIPProcessor.from_pretrained(
    "openai/clip-vit-base-patch32")(text=["a"], images=Image.open("CLIP.png"), return_tensors="pt"))
embeds = SentenceTransformer("clip-ViT-B-32").encode(["a", "b"], convert_to_tensor=True)
for value in (picture, words, seen, logits, model.logit_scale, found.logits_per_image, embeds,
              util.cos_sim(seen, read)):
    assert isinstance(value, torch.Tensor), type(value)
print(logits.softmax(dim=-1).shape, model.logit_scale.exp().item() > 1)
"""
    if subprocess.run([sys.executable, '-c', 'import torch'], stderr=subprocess.PIPE, check=False).returncode:
        pytest.skip('PyTorch was not found')
    found = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=False)
    assert found.stdout == 'torch.Size([1, 2]) True\n', found.stderr
