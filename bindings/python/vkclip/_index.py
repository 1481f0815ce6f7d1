# SPDX-License-Identifier: MIT
"""Picture search: an index of pictures on disk or in PostgreSQL."""

from __future__ import annotations

import ctypes
import dataclasses
import datetime
import os
from typing import Any, BinaryIO, Callable, Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _lib
from ._device import Device
from ._handle import Caller, Closable, Handle, Progress
from ._image import Pixels, take_pixels
from ._library import check, lib
from ._model import Model
from ._struct import (FloatArray, Path, convert, describe, encode_path, encode_paths, encode_strings, floats, new,
                      numbers, optional, strings, type_name, value_of)

Moment = Union[datetime.date, int]
"""A date, a datetime without a time zone, or seconds since 1970 in local time."""

_EPOCH = datetime.datetime(1970, 1, 1)


@dataclasses.dataclass(frozen=True)
class IndexInfo:
    """Describes an index.

    files     indexed files, as far as is known all present
    pictures  different contents among them
    """

    path: str
    files: int
    pictures: int
    missing: int
    failed: int
    folders: int
    models: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class IndexModel:
    """A model whose embeddings an index has."""

    identity: str
    name: str
    embed_dim: int
    vectors: int


@dataclasses.dataclass(frozen=True)
class IndexFailure:
    """A file that could not be indexed."""

    path: str
    code: int
    message: str


@dataclasses.dataclass(frozen=True)
class UpdateProgress:
    """How far `Index.update` is.

    found  pictures found so far in the folders
    total  files that must be read; 0 while folders are still searched
    """

    found: int
    total: int
    done: int


@dataclasses.dataclass(frozen=True)
class UpdateResult:
    """What `Index.update` has done.

    indexed  files that are in the index with an embedding
    encoded  pictures that were computed by the model
    """

    indexed: int
    added: int
    changed: int
    moved: int
    removed: int
    failed: int
    encoded: int
    thumbnails: int


@dataclasses.dataclass(frozen=True)
class ImportResult:
    """What `Index.import_rclip` has done."""

    rows: int
    imported: int
    left_out: int
    compared: int
    least_cosine: float


@dataclasses.dataclass(frozen=True)
class Query:
    """A part of a query: a text, a picture file (its path or its content), a picture of the index, or an embedding
    [D]. Parts are added with their weights; a negative one stands for what pictures should not show."""

    text: Optional[str] = None
    image: Union[Path, bytes, None] = None
    id: Optional[int] = None
    weight: float = 1
    embed: Optional[npt.ArrayLike] = None


@dataclasses.dataclass(frozen=True)
class Filter:
    """Which pictures of an index are considered. It changes no scores.

    path_glob  * stands for any bytes, ? for one character, [a-z] for one of a set. A pattern without a slash is
               compared with the file's name, any other with the whole path. Of one such as 'FOLDER/**/NAME',
               NAME is compared with the name of files in FOLDER and in folders below it.
    after      the picture is of this moment in local time, or later
    near       latitude and longitude in degrees, and the most kilometers from there
    camera     a part of the camera's name, in any case
    type       the format, such as 'jpeg'
    """

    path_glob: Optional[str] = None
    after: Optional[Moment] = None
    before: Optional[Moment] = None
    near: Optional[Tuple[float, float, float]] = None
    camera: Optional[str] = None
    type: Optional[str] = None
    min_width: int = 0
    min_height: int = 0


@dataclasses.dataclass(frozen=True)
class Hit:
    """A picture of the index.

    path    one of its files
    copies  files with this content that are present
    score   the cosine of the picture and the query
    z       how far the score is above the mean of all pictures, in standard deviations
    date    when it was taken, else when its file was last modified, in local time
    taken   the picture says when it was taken
    """

    id: int
    path: str
    copies: int
    score: float
    z: float
    width: int
    height: int
    date: datetime.datetime
    taken: bool
    latitude: Optional[float]
    longitude: Optional[float]
    camera: str
    format: str


@dataclasses.dataclass(frozen=True)
class Group:
    """Pictures that are duplicates of each other.

    kind    'exact': files with the same bytes; 'same': the same picture in other sizes, formats or qualities; 'near':
            similar pictures
    cosine  the smallest of two pictures that brought the group together
    """

    kind: str
    paths: Tuple[str, ...]
    ids: Tuple[int, ...]
    cosine: float


def _describe_hit(place: Any) -> Hit:
    entry = place.contents
    return describe(Hit, entry, date=_EPOCH + datetime.timedelta(seconds=entry.date),
                    latitude=optional(entry.latitude), longitude=optional(entry.longitude))


def _picture(id: int) -> int:
    """Returns a picture's number, which ctypes would cut to 64 bits, and take as no integer of NumPy."""
    number: int = convert(ctypes.c_int64, 'id', id)
    return number


def _seconds(moment: Optional[Moment]) -> int:
    if moment is None or isinstance(moment, int):
        return moment or 0
    if not isinstance(moment, datetime.date):
        raise TypeError(f'{moment!r} is {type_name(moment)}, expected a date, a datetime or seconds')
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is not None:
        raise ValueError(f'{moment} has a time zone, expected local time without one')
    return (moment - _EPOCH) // datetime.timedelta(seconds=1)


def _make_part(query: Union[str, Query]) -> Any:
    if not isinstance(query, (str, Query)):
        raise TypeError(f'a query cannot be {type_name(query)}: expected a text, a vkclip.Query, or several')
    part = query if isinstance(query, Query) else Query(query)
    if sum(value is not None for value in (part.text, part.image, part.id, part.embed)) != 1:
        raise ValueError('a part of a query has one of a text, an image, an id and an embedding')
    if part.weight == 0:
        raise ValueError('a part of a query with the weight 0 says nothing')
    if part.text is not None:
        return new(_lib.vkclip_query_part, kind='text', value=encode_strings([part.text])[0], weight=part.weight)
    if part.id is not None:
        return new(_lib.vkclip_query_part, kind='id', id=part.id, weight=part.weight)
    if part.image is not None and not isinstance(part.image, bytes):
        return new(_lib.vkclip_query_part, kind='image', value=part.image, weight=part.weight)
    kind, name, data = 'image', 'the picture of the query', part.image
    if part.embed is not None:
        kind, name = 'embed', ''
        data = numbers(part.embed, np.float32, 'the numbers of the embedding', (None,))[0].tobytes()
    return new(_lib.vkclip_query_part, kind=kind, value=name, data=ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p),
               size=len(data or b''), weight=part.weight)


class Index(Closable):
    """An index of pictures: which pictures lie where, and their embeddings by one or several models.

    `path` is an SQLite file, made if it does not exist, or a database as postgresql://USER@HOST/NAME; None is what
    VKCLIP_INDEX said at import, or vkclip/index.db in the user's data folder. A picture is known by the hash of its
    file, so that a file that was moved or copied is never encoded again.

    A method that gets a model uses that model's embeddings. `progress` is asked in all calls that may take long, and
    cancels them by returning a true value, as Ctrl-C does.
    """

    def __init__(self, path: Optional[Path] = None, *, read_only: bool = False, progress: Optional[Progress] = None
                 ) -> None:
        self._caller = Caller(progress)
        params = new(_lib.vkclip_index_params, path=path, read_only=read_only, progress=self._caller.make_function())
        pointer = ctypes.POINTER(_lib.vkclip_index)()
        with self._caller.call():
            check(lib.vkclip_open_index(ctypes.byref(params), ctypes.byref(pointer)))
        self._own(Handle('index', pointer, lib.vkclip_close_index, memory=params))

    # ---- What the index is ----

    @property
    def info(self) -> IndexInfo:
        """Describes the index as it is now."""
        info = new(_lib.vkclip_index_info)
        with self._caller.call(self._handle):
            check(lib.vkclip_get_index_info(self._handle.pointer, ctypes.byref(info)))
        return describe(IndexInfo, info)

    def models(self) -> List[IndexModel]:
        """Lists the models that have embeddings here."""
        count = ctypes.c_size_t()
        with self._caller.call(self._handle):
            pointer = self._handle.pointer
            check(lib.vkclip_list_index_models(pointer, None, 0, ctypes.byref(count)))
            found = (_lib.vkclip_index_model * max(count.value, 1))()
            found[0].size = ctypes.sizeof(_lib.vkclip_index_model)
            check(lib.vkclip_list_index_models(pointer, found, count.value, ctypes.byref(count)))
        return [describe(IndexModel, model) for model in found[:count.value]]

    def folders(self) -> List[str]:
        """Lists the folders that `update` was given."""
        found: List[str] = []
        with self._caller.call(self._handle) as call:
            take = call.wrap(_lib.vkclip_folder_fn, lambda path: found.append(os.fsdecode(path)))
            check(lib.vkclip_list_index_folders(self._handle.pointer, take, None))
        return found

    def failures(self) -> List[IndexFailure]:
        """Lists the files that could not be indexed."""
        found: List[IndexFailure] = []
        with self._caller.call(self._handle) as call:
            take = call.wrap(_lib.vkclip_failure_fn, lambda *failure: found.append(_describe_failure(*failure)))
            check(lib.vkclip_list_index_failures(self._handle.pointer, take, None))
        return found

    # ---- What is in it ----

    def update(self, model: Model, paths: Union[Path, Iterable[Path]] = (), *, thumbnails: bool = False,
               retry: bool = False, exact_decode: bool = False, max_pixels: int = 0,
               progress: Optional[Callable[[UpdateProgress], object]] = None,
               on_failure: Optional[Callable[[IndexFailure], object]] = None) -> UpdateResult:
        """Brings the index up to date with files and folders, by default all that it was given before.

        New and changed pictures are encoded, and files that are gone are marked as missing. `thumbnails` keeps a small
        JPEG of each picture, `retry` reads files again that failed before, and `exact_decode` decodes JPEGs in full
        size. `progress` and `on_failure`, which gets files that cannot be read, are called on threads of the library,
        never at the same time. Whenever the process ends, the next call does what is left.
        """
        files = encode_paths(paths)
        result = new(_lib.vkclip_update_result)

        def show(place: Any) -> object:
            return progress(describe(UpdateProgress, place.contents)) if progress else None

        def fail(*failure: Any) -> object:
            return on_failure(_describe_failure(*failure)) if on_failure else None

        other = Model._handle_of(model)
        with self._caller.call(self._handle, other) as call:
            params = new(_lib.vkclip_update_params, thumbnails=thumbnails, retry=retry, exact_decode=exact_decode,
                         max_pixels=max_pixels, progress=call.wrap(_lib.vkclip_update_fn, show),
                         failure=call.wrap(_lib.vkclip_failure_fn, fail))
            check(lib.vkclip_index_paths(self._handle.pointer, other.pointer, strings(files), len(files),
                                         ctypes.byref(params), ctypes.byref(result)))
        return describe(UpdateResult, result)

    def watch(self, seconds: float = -1) -> bool:
        """Waits until pictures below the folders of the index change, and returns True, or False after `seconds`; a
        negative number waits for ever. Call it with 0 before `update` and with -1 after it. Other calls on this index
        wait meanwhile."""
        changed, wait = ctypes.c_bool(), convert(ctypes.c_double, 'seconds', seconds)
        with self._caller.call(self._handle):
            check(lib.vkclip_watch_index(self._handle.pointer, wait, ctypes.byref(changed)))
        return changed.value

    def remove(self, paths: Union[Path, Iterable[Path]]) -> int:
        """Removes files, and all below folders, from the index. The files themselves stay. Returns how many."""
        files = encode_paths(paths)
        removed = ctypes.c_uint64()
        with self._caller.call(self._handle):
            check(lib.vkclip_remove_indexed(self._handle.pointer, strings(files), len(files), ctypes.byref(removed)))
        return removed.value

    def prune(self) -> int:
        """Removes missing files and what belongs to them, and makes the database smaller. Returns how many."""
        removed = ctypes.c_uint64()
        with self._caller.call(self._handle):
            check(lib.vkclip_prune_index(self._handle.pointer, ctypes.byref(removed)))
        return removed.value

    def add_hnsw(self) -> None:
        """Adds an HNSW index to the embeddings in PostgreSQL, for programs that search in SQL."""
        with self._caller.call(self._handle):
            check(lib.vkclip_add_hnsw_index(self._handle.pointer))

    def export(self, model: Model, folder: Path) -> int:
        """Writes the embeddings of a model and their paths in clip-retrieval's layout to a new or empty folder.
        Returns how many."""
        exported = ctypes.c_uint64()
        other = Model._handle_of(model)
        with self._caller.call(self._handle, other):
            check(lib.vkclip_export_index(self._handle.pointer, other.pointer, encode_path(folder),
                                          ctypes.byref(exported)))
        return exported.value

    def import_rclip(self, model: Model, database: Path, *, progress: Optional[Progress] = None) -> ImportResult:
        """Takes over the embeddings of a database of rclip, which must come from the same model."""
        result = new(_lib.vkclip_import_result)
        other = Model._handle_of(model)
        with self._caller.call(self._handle, other, progress=progress) as call:
            check(lib.vkclip_import_rclip(self._handle.pointer, other.pointer, encode_path(database),
                                          call.progress, None, ctypes.byref(result)))
        return describe(ImportResult, result)

    # ---- Search ----

    def search(self, model: Model, query: Union[str, Query, Sequence[Union[str, Query]]], *, top: int = 10,
               sort: str = 'score', min_score: float = 0, min_z: float = 0, relative: float = 0, max_pixels: int = 0,
               filter: Optional[Filter] = None, progress: Optional[Progress] = None) -> List[Hit]:
        """Returns the pictures whose embeddings are nearest to a query: a text, a Query, or several that are added.

        At most `top` pictures are given, those that reach every limit that is not 0: `min_score` of their scores,
        `min_z` of their z, `relative` of their scores as a share of the best one's. `sort` is 'score' or 'date', the
        newest of the best ones first.
        """
        queries: List[Any] = list(query) if isinstance(query, (list, tuple)) else [query]
        parts = [_make_part(part) for part in queries]
        found: List[Hit] = []
        other = Model._handle_of(model)
        with self._caller.call(self._handle, other, progress=progress) as call:
            params = _search_params(filter, parts=(_lib.vkclip_query_part * max(len(parts), 1))(*parts),
                                    part_count=len(parts), top=top, sort=sort, min_score=min_score, min_z=min_z,
                                    relative=relative, max_pixels=max_pixels, progress=call.progress)
            hit = call.wrap(_lib.vkclip_hit_fn, lambda place: found.append(_describe_hit(place)))
            check(lib.vkclip_search(self._handle.pointer, other.pointer, ctypes.byref(params), hit, None))
        return found

    def pictures(self, model: Model, *, filter: Optional[Filter] = None) -> Tuple[List[Hit], FloatArray]:
        """Returns the files that the model has encoded and that pass the filter, and their embeddings [N, D]."""
        found: List[Hit] = []
        embeds: List[FloatArray] = []
        width = model.embed_dim

        def take(place: Any, embed: Any) -> None:
            found.append(_describe_hit(place))
            embeds.append(np.ctypeslib.as_array(embed, (width,)).copy())

        other = Model._handle_of(model)
        with self._caller.call(self._handle, other) as call:
            params = _search_params(filter)
            check(lib.vkclip_list_indexed(self._handle.pointer, other.pointer, ctypes.byref(params),
                                          call.wrap(_lib.vkclip_indexed_fn, take), None))
        return found, np.array(embeds, np.float32).reshape(-1, width)

    def embedding(self, model: Model, id: int) -> FloatArray:
        """Returns the embedding [D] of a picture, of unit length."""
        other = Model._handle_of(model)
        embed = np.empty(model.embed_dim, np.float32)
        picture = _picture(id)
        with self._caller.call(self._handle, other):
            check(lib.vkclip_read_embedding(self._handle.pointer, other.pointer, picture, floats(embed)))
        return embed

    def upload(self, model: Model) -> None:
        """Copies the model's embeddings to its device, where its searches run from now on."""
        other = Model._handle_of(model)
        with self._caller.call(self._handle, other):
            check(lib.vkclip_upload_index(self._handle.pointer, other.pointer))

    def files(self, id: int) -> List[Hit]:
        """Describes each file of a picture that is present, in the order of their paths."""
        found: List[Hit] = []
        picture = _picture(id)
        with self._caller.call(self._handle) as call:
            hit = call.wrap(_lib.vkclip_hit_fn, lambda place: found.append(_describe_hit(place)))
            check(lib.vkclip_find_indexed(self._handle.pointer, picture, hit, None))
        return found

    def open(self, id: int) -> BinaryIO:
        """Opens a file of a picture for reading, provided that nobody has written to it since it was indexed."""
        descriptor, size, picture = ctypes.c_int(), ctypes.c_uint64(), _picture(id)
        with self._caller.call(self._handle):
            check(lib.vkclip_open_indexed(self._handle.pointer, picture, ctypes.byref(descriptor), ctypes.byref(size)))
        return os.fdopen(descriptor.value, 'rb')

    def thumbnail_file(self, id: int) -> bytes:
        """Returns the thumbnail of a picture as a JPEG file."""
        found: List[bytes] = []
        picture = _picture(id)
        with self._caller.call(self._handle) as call:
            take = call.wrap(_lib.vkclip_bytes_fn, lambda data, size: found.append(ctypes.string_at(data, size)))
            check(lib.vkclip_read_thumbnail(self._handle.pointer, picture, take, None))
        return found[0]

    def thumbnail(self, id: int) -> Pixels:
        """Decodes the thumbnail of a picture to uint8 [height, width, 3]."""
        image, picture = _lib.vkclip_image(), _picture(id)
        with self._caller.call(self._handle):
            check(lib.vkclip_load_thumbnail(self._handle.pointer, picture, ctypes.byref(image)))
        return take_pixels(image)

    # ---- Duplicates ----

    def duplicates(self, device: Optional[Device] = None, *, model: Optional[Path] = None, distance: float = 0,
                   progress: Optional[Callable[[float], object]] = None) -> List[Group]:
        """Finds groups of duplicates: exact copies, and with a device also the same pictures and similar ones.

        `model` is a model's name or identity in the index, or the file of its weights; None: its only one. `distance`
        is the largest 1 - cosine of two pictures; 0: 0.01. `progress` gets the share of the work that is done.
        """
        found: List[Group] = []

        def take(place: Any) -> None:
            group = place.contents
            found.append(describe(Group, group, paths=tuple(map(value_of, group.paths[:group.count])),
                                  ids=tuple(group.ids[:group.count])))

        other = None if device is None else Device._handle_of(device)
        with self._caller.call(self._handle, *([other] if other else [])) as call:
            params = new(_lib.vkclip_duplicates_params, model=model, distance=distance,
                         progress=call.wrap(_lib.vkclip_share_fn, progress))
            check(lib.vkclip_find_duplicates(self._handle.pointer, other.pointer if other else None,
                                             ctypes.byref(params), call.wrap(_lib.vkclip_group_fn, take), None))
        return found

    def forget_duplicates(self, a: Path, b: Path) -> None:
        """Remembers that two pictures are no duplicates. Each is a path or 'id:N'."""
        with self._caller.call(self._handle):
            check(lib.vkclip_forget_duplicates(self._handle.pointer, encode_path(a), encode_path(b)))

    def __repr__(self) -> str:
        return '<vkclip.Index, closed>' if self.closed else f'<vkclip.Index {self.info.path}>'


def _describe_failure(path: bytes, code: int, message: bytes) -> IndexFailure:
    return IndexFailure(os.fsdecode(path), code, os.fsdecode(message))


def _search_params(chosen: Optional[Filter], **members: Any) -> Any:
    """Makes the params of a search."""
    filter_ = chosen or Filter()
    latitude, longitude, kilometers = filter_.near or (0, 0, 0)
    return new(_lib.vkclip_search_params, path_glob=filter_.path_glob, after=_seconds(filter_.after),
               before=_seconds(filter_.before), latitude=latitude, longitude=longitude, kilometers=kilometers,
               camera=filter_.camera, type=filter_.type, min_width=filter_.min_width, min_height=filter_.min_height,
               **members)
