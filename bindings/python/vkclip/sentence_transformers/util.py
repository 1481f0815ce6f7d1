# SPDX-License-Identifier: MIT
"""What programs for CLIP use of sentence_transformers.util."""

from __future__ import annotations

import os
import shutil
import urllib.request
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

import numpy as np
import numpy.typing as npt

from .._compat import as_plain, as_tensor

__all__ = ['community_detection', 'cos_sim', 'dot_score', 'http_get', 'normalize_embeddings', 'pairwise_cos_sim',
           'pairwise_dot_score', 'paraphrase_mining_embeddings', 'pytorch_cos_sim', 'semantic_search',
           'truncate_embeddings']

Score = Callable[[Any, Any], Any]


def _rows(embeddings: Any) -> npt.NDArray[np.float32]:
    """Returns embeddings [N, D] of a tensor, an array, a list of them, or one [D]."""
    if isinstance(embeddings, (list, tuple)):
        embeddings = np.stack([as_plain(row) for row in embeddings])
    return np.asarray(np.atleast_2d(as_plain(embeddings)), np.float32)


def normalize_rows(embeddings: Any) -> npt.NDArray[np.float32]:
    """Divides embeddings [N, D] by their norms."""
    rows = _rows(embeddings)
    result: npt.NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return result


def normalize_embeddings(embeddings: Any) -> Any:
    """Divides embeddings [N, D] by their norms."""
    return as_tensor(normalize_rows(embeddings))


def truncate_embeddings(embeddings: Any, truncate_dim: Optional[int]) -> Any:
    """Returns the first numbers of each embedding."""
    return embeddings[..., :truncate_dim]


def cos_sim(a: Any, b: Any) -> Any:
    """Returns the cosines [N, M] of embeddings [N, D] and [M, D], either of which may be one [D]."""
    return as_tensor(normalize_rows(a) @ normalize_rows(b).T)


pytorch_cos_sim = cos_sim


def dot_score(a: Any, b: Any) -> Any:
    """Returns the scalar products [N, M] of embeddings [N, D] and [M, D], either of which may be one [D]."""
    return as_tensor(_rows(a) @ _rows(b).T)


def pairwise_cos_sim(a: Any, b: Any) -> Any:
    """Returns the cosines [N] of the rows of embeddings [N, D] and [N, D]."""
    return as_tensor((normalize_rows(a) * normalize_rows(b)).sum(-1))


def pairwise_dot_score(a: Any, b: Any) -> Any:
    """Returns the scalar products [N] of the rows of embeddings [N, D] and [N, D]."""
    return as_tensor((_rows(a) * _rows(b)).sum(-1))


def http_get(url: str, path: str) -> None:
    """Downloads a file."""
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with urllib.request.urlopen(url) as response, open(path + '.part', 'wb') as file:
        shutil.copyfileobj(response, file)
    # What was not read to its end never has the name.
    os.replace(path + '.part', path)


def semantic_search(query_embeddings: Any, corpus_embeddings: Any, query_chunk_size: int = 100,
                    corpus_chunk_size: int = 500000, top_k: int = 10, score_function: Score = cos_sim
                    ) -> List[List[Dict[str, Any]]]:
    """Returns a list for each query: of at most `top_k` dicts with corpus_id and score, the best first."""
    queries, corpus = _rows(query_embeddings), _rows(corpus_embeddings)
    found: List[List[Dict[str, Any]]] = []
    for start in range(0, len(queries), query_chunk_size):
        scores = as_plain(score_function(queries[start:start + query_chunk_size], corpus))
        best = np.argsort(-scores, axis=1, kind='stable')[:, :top_k]
        found += [[{'corpus_id': int(i), 'score': float(row[i])} for i in order] for row, order in zip(scores, best)]
    return found


def paraphrase_mining_embeddings(embeddings: Any, query_chunk_size: int = 5000, corpus_chunk_size: int = 100000,
                                 max_pairs: int = 500000, top_k: int = 100, score_function: Score = cos_sim
                                 ) -> List[List[Any]]:
    """Returns the most similar pairs as lists of the score and two indices, the best first, such as of pictures that
    are duplicates. Each embedding is in pairs with at most `top_k` others."""
    rows = _rows(embeddings)
    hits = semantic_search(rows, rows, min(query_chunk_size, 1000), top_k=top_k + 1, score_function=score_function)
    pairs: Dict[Tuple[int, int], float] = {}
    for i, found in enumerate(hits):
        for hit in found:
            j = hit['corpus_id']
            if i != j:
                pairs[min(i, j), max(i, j)] = hit['score']
    best = sorted(pairs.items(), key=lambda pair: -pair[1])[:max_pairs]
    return [[score, i, j] for (i, j), score in best]


def community_detection(embeddings: Any, threshold: float = 0.75, min_community_size: int = 10, **_: Any
                        ) -> List[List[int]]:
    """Returns groups of embeddings whose cosines with the group's first one are at least `threshold`, the largest group
    first. No embedding is in two groups."""
    rows = normalize_rows(embeddings)
    near = [np.flatnonzero(rows @ row >= threshold) for row in rows]
    taken: Set[int] = set()
    found: List[List[int]] = []
    for i in sorted(range(len(rows)), key=lambda i: -len(near[i])):
        group = [int(j) for j in near[i] if j not in taken]
        if i not in taken and len(group) >= min_community_size:
            group.remove(i)
            found.append([i, *group])
            taken.update(found[-1])
    return sorted(found, key=len, reverse=True)
