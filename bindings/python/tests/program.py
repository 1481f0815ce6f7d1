# SPDX-License-Identifier: MIT
"""A program as users write them, which the type checker reads in test_types.py. It is not run."""

import asyncio
import datetime
from pathlib import Path
from typing import Dict, List

import numpy as np
import numpy.typing as npt
import vkclip
from vkclip import clip, open_clip, sentence_transformers, torch, transformers


def rank(folder: Path, text: str) -> List[str]:
    """Returns the names of pictures, the best first."""
    with vkclip.Device('llvmpipe', threads=2, background=True, tune='off', timeout=30) as device:
        with vkclip.Model(folder, device=device, precision='f16', weights='q8') as model:
            paths = sorted(folder.glob('*.png'))
            embeds: npt.NDArray[np.float32] = model.encode_files(paths, on_error='nan', orient=True)
            job = model.encode_text([text], wait=False)
            scores = model.similarity(embeds, job.result(timeout=60))
            job.add_done_callback(lambda done: print(done.cancelled()))
            return [paths[i].name for i in np.argsort(-scores[:, 0])]


async def encode(model: vkclip.Model) -> npt.NDArray[np.float32]:
    return await model.encode_image('owl.png', wait=False)


def search(path: str, model: vkclip.Model) -> Dict[str, float]:
    def show(progress: vkclip.UpdateProgress) -> bool:
        return progress.done > 1000

    with vkclip.Index(path) as index:
        print(index.update(model, [Path('pictures')], progress=show).encoded)
        chosen = vkclip.Filter(after=datetime.date(2020, 1, 1), near=(52.5, 13.4, 10))
        hits = index.search(model, ['owl', vkclip.Query(image='day.jpg', weight=-0.5)], top=3, filter=chosen)
        return {hit.path: hit.score for hit in hits if hit.latitude is not None}


def train(model: vkclip.Model) -> None:
    augmentation = vkclip.Augmentation(scale=(0.8, 1))
    with vkclip.Trainer(output='run', model='model', data='pairs.csv', augmentation=augmentation) as trainer:
        for result in trainer:
            print(result.step, result.loss)
    conditioning = vkclip.Conditioner('pipeline', loras={'style.safetensors': 0.5}).condition(['a', 'b'], '')
    print({name: array.shape for name, array in conditioning.tensors.items()}, conditioning.usage[0].rest)
    explanation = model.explain('owl.png', ['owl'], layers=1)
    print(explanation.relevance.max(), vkclip.convert('model', 'model.gguf', 'q8').bytes_after)


def others() -> None:
    model, preprocess = clip.load('ViT-B/32')
    picture = preprocess('owl.png').unsqueeze(0)
    logits, _ = model(picture, clip.tokenize(['an owl']))
    print(logits.softmax(dim=-1).cpu().numpy(), torch.cuda.is_available())
    created, _, transform = open_clip.create_model_and_transforms('ViT-B-32', pretrained='openai')
    print(created.encode_image(transform('owl.png').unsqueeze(0)).norm(dim=-1), open_clip.list_pretrained()[0][1])
    print(sentence_transformers.SentenceTransformer('clip-ViT-B-32').encode(['owl']).shape)
    print(transformers.CLIPModel.from_pretrained('openai/clip-vit-base-patch32').get_image_features(picture))


if __name__ == '__main__':
    print(rank(Path('pictures'), 'an owl'), asyncio.run(encode(vkclip.Model('model'))))
