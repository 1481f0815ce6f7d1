# SPDX-License-Identifier: MIT
"""Published models: the library's table of them, and how they come into the hub's cache."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import subprocess
from typing import Any, List, Optional, Tuple

from . import _lib
from ._library import FileError, UnsupportedError, lib, make_error
from ._model import Model
from ._struct import Path, describe, value_of

# Files of weights, of which the first that a repository has is downloaded.
_WEIGHTS = ('model.safetensors', 'open_clip_model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin',
            'open_clip_pytorch_model.bin')
_OTHERS = ('*.json', '*.txt', '*.txt.gz', '*.model')


@dataclasses.dataclass(frozen=True)
class PublishedModel:
    """A model that Model opens by its name when it is in the hub's cache. What is not known is '' or 0.

    repository  ORG/NAME in the Hugging Face hub
    millions    of parameters
    obstacle    why vkclip does not run the model; None: it does
    """

    name: str
    aliases: Tuple[str, ...]
    repository: str
    family: str
    millions: int
    embed_dim: int
    languages: str
    licence: str
    obstacle: Optional[str]


def published_models() -> List[PublishedModel]:
    """Returns the published models that have names, as `vkclip models` lists them."""
    found: List[PublishedModel] = []
    while True:
        place = lib.vkclip_get_hub_model(len(found))
        if not place:
            return found
        aliases = tuple(value_of(place.contents.aliases).split())
        found.append(describe(PublishedModel, place.contents, aliases=aliases))


def _find_repository(name: str) -> str:
    """Returns the repository of a model, whose name may be written in several ways."""
    place = lib.vkclip_find_hub_model(name.encode())
    if not place:
        return name
    if place.contents.obstacle:
        raise UnsupportedError(f'{name}: vkclip does not run this model: {value_of(place.contents.obstacle)}')
    repository: str = value_of(place.contents.repository)
    return repository


def is_cached(name: str, *, hub_dir: Optional[Path] = None) -> bool:
    """Tells whether the hub's cache has a model, so that Model opens it by this name without a download."""
    found: bool = lib.vkclip_has_cached_model(name.encode(), None if hub_dir is None else os.fsencode(hub_dir))
    return found


def _pull_by_client(client: Any, name: str, hub_dir: Optional[Path]) -> str:
    repository, _, revision = name.partition('@')
    options = {'repo_id': _find_repository(repository), 'revision': revision or None}
    files = client.list_repo_files(**options)
    weights = [file for file in _WEIGHTS if file in files][:1] or ['*.safetensors', '*.gguf']
    if weights[0].endswith('.index.json'):
        weights = ['model-*.safetensors']
    found: str = client.snapshot_download(allow_patterns=[*_OTHERS, *weights], cache_dir=hub_dir, **options)
    return found


def _pull_by_command(command: str, name: str, hub_dir: Optional[Path]) -> str:
    environment = dict(os.environ)
    if hub_dir is not None:
        environment['HF_HUB_CACHE'] = os.fspath(hub_dir)
    # The command shows its progress itself.
    done = subprocess.run([command, 'pull', name], stdout=subprocess.PIPE, env=environment, check=False)
    if done.returncode:
        raise make_error(_lib.VKCLIP_EIO, f"{name}: '{command} pull {name}' failed")
    return os.fsdecode(done.stdout).rstrip('\n')


def pull(name: str, *, hub_dir: Optional[Path] = None) -> str:
    """Downloads a model into the hub's cache, and returns the folder, which Model opens by the name, too.

    `name` is ORG/NAME of a repository or one of `published_models`, each with @REVISION if wanted. Hugging Face's
    client does it if the package huggingface_hub is installed, or else the command `vkclip pull`.
    """
    try:
        client = importlib.import_module('huggingface_hub')
    except ImportError:
        command = shutil.which('vkclip')
        if command is None:
            raise make_error(_lib.VKCLIP_EIO, f"{name}: is not in the hub's cache, and nothing here can download it: "
                             "run 'pip install huggingface_hub', or where the command vkclip is, "
                             f"'vkclip pull {name}'") from None
        return _pull_by_command(command, name, hub_dir)
    try:
        return _pull_by_client(client, name, hub_dir)
    except (OSError, ValueError) as error:
        # Errors of connections and those of the client itself are among these.
        raise make_error(_lib.VKCLIP_EIO, f'{name}: cannot be downloaded: {error}') from error


def open_or_pull(name: str, *, hub_dir: Optional[Path] = None, local_files_only: bool = False, **options: Any) -> Model:
    """Opens a model, which is downloaded if it has a name and is not there yet."""
    try:
        return Model(name, hub_dir=hub_dir, **options)
    except FileError as error:
        # The library says so of what may be the name of a model, and of no path.
        if local_files_only or f"'vkclip pull {name}'" not in str(error):
            raise
    return Model(pull(name, hub_dir=hub_dir), **options)


def open_vocabulary(names: List[str]) -> Optional[Model]:
    """Opens the vocabulary of the first of these models that is in the hub's cache."""
    for name in names:
        if is_cached(name):
            model = Model(name, device=False)
            if model.info.tokenizer:
                return model
    return None
