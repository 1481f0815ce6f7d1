# SPDX-License-Identifier: MIT
# bindings/python/generate.py wrote this file from include/vkclip.h. Do not edit it.
"""The declarations of vkclip.h for ctypes. `declare` gives a loaded library's functions their types."""

import ctypes as _c
from typing import Any, Dict, List


class Enum(_c.c_int):
    """A number of an enum, of which `names` has a name for each value."""

    names: Dict[int, str] = {}


VKCLIP_VERSION_MAJOR = 0
VKCLIP_VERSION_MINOR = 1
VKCLIP_VERSION_PATCH = 0
VKCLIP_ENCODERS = 3

VKCLIP_OK = 0
VKCLIP_EINVALID = -1
VKCLIP_EMEMORY = -2
VKCLIP_EIO = -3
VKCLIP_EFORMAT = -4
VKCLIP_EUNSUPPORTED = -5
VKCLIP_ENODEVICE = -6
VKCLIP_EDEVICE = -7
VKCLIP_EDEVICEMEMORY = -8
VKCLIP_ETOOLONG = -9
VKCLIP_EABSENT = -10
VKCLIP_EDIVERGED = -11
VKCLIP_ELOST = -12
VKCLIP_ECANCELLED = -13

class vkclip_error(Enum):
    names = {0: 'ok', -1: 'einvalid', -2: 'ememory', -3: 'eio', -4: 'eformat', -5: 'eunsupported', -6: 'enodevice',
        -7: 'edevice', -8: 'edevicememory', -9: 'etoolong', -10: 'eabsent', -11: 'ediverged', -12: 'elost',
        -13: 'ecancelled'}

VKCLIP_LOG_ERROR = 0
VKCLIP_LOG_WARNING = 1
VKCLIP_LOG_INFO = 2
VKCLIP_LOG_DEBUG = 3

class vkclip_log_level(Enum):
    names = {0: 'error', 1: 'warning', 2: 'info', 3: 'debug'}

VKCLIP_DEVICE_OTHER = 0
VKCLIP_DEVICE_CPU = 1
VKCLIP_DEVICE_VIRTUAL = 2
VKCLIP_DEVICE_INTEGRATED = 3
VKCLIP_DEVICE_DISCRETE = 4

class vkclip_device_type(Enum):
    names = {0: 'other', 1: 'cpu', 2: 'virtual', 3: 'integrated', 4: 'discrete'}

VKCLIP_TUNE_DEFAULT = 0
VKCLIP_TUNE_ON = 1
VKCLIP_TUNE_OFF = 2
VKCLIP_TUNE_FORCE = 3

class vkclip_tune(Enum):
    names = {0: 'default', 1: 'on', 2: 'off', 3: 'force'}

VKCLIP_PRECISION_F32 = 0
VKCLIP_PRECISION_F16 = 1

class vkclip_precision(Enum):
    names = {0: 'f32', 1: 'f16'}

VKCLIP_WEIGHTS_AUTO = 0
VKCLIP_WEIGHTS_F16 = 1
VKCLIP_WEIGHTS_Q8 = 2
VKCLIP_WEIGHTS_Q4 = 3

class vkclip_weights(Enum):
    names = {0: 'auto', 1: 'f16', 2: 'q8', 3: 'q4'}

VKCLIP_COMPUTE_F32 = 0
VKCLIP_COMPUTE_F16 = 1

class vkclip_compute(Enum):
    names = {0: 'f32', 1: 'f16'}

VKCLIP_ACTIVATION_AUTO = 0
VKCLIP_ACTIVATION_QUICK_GELU = 1
VKCLIP_ACTIVATION_GELU = 2
VKCLIP_ACTIVATION_GELU_TANH = 3
VKCLIP_ACTIVATION_RELU = 4
VKCLIP_ACTIVATION_SILU = 5

class vkclip_activation(Enum):
    names = {0: 'auto', 1: 'quick-gelu', 2: 'gelu', 3: 'gelu-tanh', 4: 'relu', 5: 'silu'}

VKCLIP_FAMILY_NONE = 0
VKCLIP_FAMILY_OPENAI = 1
VKCLIP_FAMILY_OPENCLIP = 2
VKCLIP_FAMILY_HF = 3

class vkclip_family(Enum):
    names = {0: 'none', 1: 'openai', 2: 'openclip', 3: 'hf'}

VKCLIP_TYPE_F16 = 0
VKCLIP_TYPE_F32 = 1
VKCLIP_TYPE_BF16 = 2
VKCLIP_TYPE_Q8 = 3
VKCLIP_TYPE_Q4 = 4

class vkclip_type(Enum):
    names = {0: 'f16', 1: 'f32', 2: 'bf16', 3: 'q8', 4: 'q4'}

VKCLIP_TOKENIZE_STRICT = 1
VKCLIP_TOKENIZE_PAD = 2
VKCLIP_TOKENIZE_FULL = 4

class vkclip_tokenize_flags(Enum):
    names = {1: 'strict', 2: 'pad', 4: 'full'}

VKCLIP_SYNTAX_NONE = 0
VKCLIP_SYNTAX_A1111 = 1
VKCLIP_SYNTAX_A1111_NO_NORM = 2
VKCLIP_SYNTAX_A1111_IGNORE = 3
VKCLIP_SYNTAX_A1111_NONE = 4
VKCLIP_SYNTAX_COMFY = 5

class vkclip_syntax(Enum):
    names = {0: 'none', 1: 'a1111', 2: 'a1111-no-norm', 3: 'a1111-ignore', 4: 'a1111-none', 5: 'comfy'}

VKCLIP_WEIGHTING_NONE = 0
VKCLIP_WEIGHTING_MULTIPLY = 1
VKCLIP_WEIGHTING_RENORMALISE = 2
VKCLIP_WEIGHTING_INTERPOLATE = 3

class vkclip_weighting(Enum):
    names = {0: 'none', 1: 'multiply', 2: 'renormalise', 3: 'interpolate'}

VKCLIP_TOWER_IMAGE = 0
VKCLIP_TOWER_TEXT = 1

class vkclip_tower(Enum):
    names = {0: 'image', 1: 'text'}

VKCLIP_TENSOR_F32 = 0
VKCLIP_TENSOR_F16 = 1
VKCLIP_TENSOR_I32 = 2

class vkclip_tensor_type(Enum):
    names = {0: 'f32', 1: 'f16', 2: 'i32'}

VKCLIP_QUERY_TEXT = 0
VKCLIP_QUERY_IMAGE = 1
VKCLIP_QUERY_ID = 2
VKCLIP_QUERY_EMBED = 3

class vkclip_query_kind(Enum):
    names = {0: 'text', 1: 'image', 2: 'id', 3: 'embed'}

VKCLIP_SORT_SCORE = 0
VKCLIP_SORT_DATE = 1

class vkclip_sort(Enum):
    names = {0: 'score', 1: 'date'}

VKCLIP_GROUP_EXACT = 0
VKCLIP_GROUP_SAME = 1
VKCLIP_GROUP_NEAR = 2

class vkclip_group_kind(Enum):
    names = {0: 'exact', 1: 'same', 2: 'near'}

VKCLIP_LOSS_AUTO = 0
VKCLIP_LOSS_SOFTMAX = 1
VKCLIP_LOSS_SIGMOID = 2

class vkclip_loss(Enum):
    names = {0: 'auto', 1: 'softmax', 2: 'sigmoid'}

VKCLIP_LR_COSINE = 0
VKCLIP_LR_CONST = 1
VKCLIP_LR_CONST_COOLDOWN = 2

class vkclip_lr_scheduler(Enum):
    names = {0: 'cosine', 1: 'const', 2: 'const-cooldown'}

class vkclip_archive(_c.Structure): pass
class vkclip_conditioner(_c.Structure): pass
class vkclip_device(_c.Structure): pass
class vkclip_index(_c.Structure): pass
class vkclip_job(_c.Structure): pass
class vkclip_model(_c.Structure): pass
class vkclip_trainer(_c.Structure): pass
class vkclip_allocator(_c.Structure): pass
class vkclip_device_info(_c.Structure): pass
class vkclip_device_params(_c.Structure): pass
class vkclip_peaks(_c.Structure): pass
class vkclip_check(_c.Structure): pass
class vkclip_tuning_time(_c.Structure): pass
class vkclip_tuning(_c.Structure): pass
class vkclip_model_params(_c.Structure): pass
class vkclip_tower_info(_c.Structure): pass
class vkclip_model_info(_c.Structure): pass
class vkclip_hub_model(_c.Structure): pass
class vkclip_convert_params(_c.Structure): pass
class vkclip_conversion(_c.Structure): pass
class vkclip_comparison(_c.Structure): pass
class vkclip_tokenizer_params(_c.Structure): pass
class vkclip_tokenizer_result(_c.Structure): pass
class vkclip_prompt_place(_c.Structure): pass
class vkclip_prompt(_c.Structure): pass
class vkclip_embedding(_c.Structure): pass
class vkclip_prompt_params(_c.Structure): pass
class vkclip_image(_c.Structure): pass
class vkclip_image_params(_c.Structure): pass
class vkclip_image_format(_c.Structure): pass
class vkclip_archive_params(_c.Structure): pass
class vkclip_item(_c.Structure): pass
class vkclip_features(_c.Structure): pass
class vkclip_encode_params(_c.Structure): pass
class vkclip_lora(_c.Structure): pass
class vkclip_conditioner_params(_c.Structure): pass
class vkclip_encoder_info(_c.Structure): pass
class vkclip_conditioner_info(_c.Structure): pass
class vkclip_condition_params(_c.Structure): pass
class vkclip_tensor(_c.Structure): pass
class vkclip_prompt_usage(_c.Structure): pass
class vkclip_conditioning(_c.Structure): pass
class vkclip_node(_c.Structure): pass
class vkclip_cost(_c.Structure): pass
class vkclip_grid(_c.Structure): pass
class vkclip_explain_params(_c.Structure): pass
class vkclip_probe_params(_c.Structure): pass
class vkclip_probe_result(_c.Structure): pass
class vkclip_index_params(_c.Structure): pass
class vkclip_index_info(_c.Structure): pass
class vkclip_index_model(_c.Structure): pass
class vkclip_update_progress(_c.Structure): pass
class vkclip_update_params(_c.Structure): pass
class vkclip_update_result(_c.Structure): pass
class vkclip_import_result(_c.Structure): pass
class vkclip_query_part(_c.Structure): pass
class vkclip_search_params(_c.Structure): pass
class vkclip_hit(_c.Structure): pass
class vkclip_group(_c.Structure): pass
class vkclip_duplicates_params(_c.Structure): pass
class vkclip_augmentation(_c.Structure): pass
class vkclip_trainer_params(_c.Structure): pass
class vkclip_trainer_info(_c.Structure): pass
class vkclip_trainer_memory(_c.Structure): pass
class vkclip_train_result(_c.Structure): pass
class vkclip_validation(_c.Structure): pass

vkclip_allocate_fn = _c.CFUNCTYPE(_c.c_void_p, _c.c_void_p, _c.c_size_t)
vkclip_reallocate_fn = _c.CFUNCTYPE(_c.c_void_p, _c.c_void_p, _c.c_void_p, _c.c_size_t)
vkclip_release_fn = _c.CFUNCTYPE(None, _c.c_void_p, _c.c_void_p)
vkclip_log_fn = _c.CFUNCTYPE(None, _c.c_void_p, vkclip_log_level, _c.c_char_p)
vkclip_progress_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.c_uint64, _c.c_uint64)
vkclip_check_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.POINTER(vkclip_check))
vkclip_tuning_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.POINTER(vkclip_tuning))
vkclip_bytes_fn = _c.CFUNCTYPE(None, _c.c_void_p, _c.c_void_p, _c.c_size_t)
vkclip_hidden_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.c_char_p, _c.POINTER(_c.c_float), _c.POINTER(_c.c_size_t),
    _c.c_size_t, _c.c_size_t, _c.c_size_t)
vkclip_item_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.POINTER(vkclip_item))
vkclip_done_fn = _c.CFUNCTYPE(None, _c.c_void_p, _c.c_int, _c.c_char_p)
vkclip_source_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.c_size_t, _c.POINTER(_c.c_float))
vkclip_node_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.POINTER(vkclip_node))
vkclip_folder_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.c_char_p)
vkclip_failure_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.c_char_p, _c.c_int, _c.c_char_p)
vkclip_update_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.POINTER(vkclip_update_progress))
vkclip_hit_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.POINTER(vkclip_hit))
vkclip_indexed_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.POINTER(vkclip_hit), _c.POINTER(_c.c_float))
vkclip_group_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.POINTER(vkclip_group))
vkclip_share_fn = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.c_double)

vkclip_allocator._fields_ = [('size', _c.c_size_t), ('user', _c.c_void_p), ('allocate', vkclip_allocate_fn),
    ('reallocate', vkclip_reallocate_fn), ('release', vkclip_release_fn)]

vkclip_device_info._fields_ = [('size', _c.c_size_t), ('index', _c.c_uint32), ('name', _c.c_char * 256),
    ('type', vkclip_device_type), ('driver', _c.c_char * 512), ('api_version', _c.c_uint32 * 3),
    ('memory', _c.c_uint64), ('max_buffer_range', _c.c_uint64), ('caps', _c.c_char * 256), ('usable', _c.c_bool),
    ('why', _c.c_char * 256), ('vendor_id', _c.c_uint32), ('device_id', _c.c_uint32), ('uuid', _c.c_uint8 * 16),
    ('driver_uuid', _c.c_uint8 * 16), ('has_luid', _c.c_bool), ('luid', _c.c_uint8 * 8), ('busy', _c.c_double)]

vkclip_device_params._fields_ = [('size', _c.c_size_t), ('device', _c.c_char_p), ('cache_dir', _c.c_char_p),
    ('threads', _c.c_uint32), ('background', _c.c_bool), ('tune', vkclip_tune), ('skip_checks', _c.c_bool),
    ('timeout', _c.c_double), ('progress', vkclip_progress_fn), ('user', _c.c_void_p)]

vkclip_peaks._fields_ = [('size', _c.c_size_t), ('flops', _c.c_double), ('bytes', _c.c_double),
    ('how', _c.c_char * 64), ('matrix_flops', _c.c_double), ('matrix_how', _c.c_char * 64)]

vkclip_check._fields_ = [('device', _c.c_char_p), ('op', _c.c_char_p), ('kernel', _c.c_char_p),
    ('activations', _c.c_char_p), ('weights', _c.c_char_p), ('shape', _c.c_char_p), ('error', _c.c_double),
    ('runs', _c.c_uint32), ('built', _c.c_bool), ('stable', _c.c_bool), ('right', _c.c_bool)]

vkclip_tuning_time._fields_ = [('kernel', _c.c_char_p), ('ms', _c.c_double)]

vkclip_tuning._fields_ = [('device', _c.c_char_p), ('shape', _c.c_char_p), ('kernel', _c.c_char_p),
    ('times', _c.POINTER(vkclip_tuning_time)), ('count', _c.c_size_t)]

vkclip_model_params._fields_ = [('size', _c.c_size_t), ('precision', vkclip_precision), ('vocab', _c.c_char_p),
    ('activation', vkclip_activation), ('max_batch', _c.c_uint32), ('image_size', _c.c_uint32),
    ('text_encoder', _c.c_char_p), ('weights', vkclip_weights), ('stream', _c.c_bool), ('compute', vkclip_compute),
    ('state_dict', _c.c_char_p), ('progress', vkclip_progress_fn), ('user', _c.c_void_p), ('name', _c.c_char_p),
    ('hub_dir', _c.c_char_p)]

vkclip_tower_info._fields_ = [('width', _c.c_uint32), ('layers', _c.c_uint32), ('heads', _c.c_uint32),
    ('mlp', _c.c_uint32), ('activation', vkclip_activation), ('positions', _c.c_uint32), ('projection', _c.c_bool)]

vkclip_model_info._fields_ = [('size', _c.c_size_t), ('family', vkclip_family), ('image', vkclip_tower_info),
    ('text', vkclip_tower_info), ('stages', _c.c_uint32 * 4), ('stage_widths', _c.c_uint32 * 4),
    ('image_size', _c.c_uint32), ('patch_size', _c.c_uint32), ('context', _c.c_uint32), ('vocabulary', _c.c_uint32),
    ('embed_dim', _c.c_uint32), ('text_embed_dim', _c.c_uint32), ('logit_scale', _c.c_float), ('sigmoid', _c.c_bool),
    ('logit_bias', _c.c_float), ('image_mean', _c.c_float * 3), ('image_std', _c.c_float * 3),
    ('parameters', _c.c_uint64), ('weights_bytes', _c.c_uint64), ('memory_bytes', _c.c_uint64),
    ('precision', vkclip_precision), ('weights', vkclip_weights), ('tokenizer', _c.c_bool),
    ('tokenizer_context', _c.c_uint32), ('weights_path', _c.c_char * 1024), ('weights_type', _c.c_char * 16),
    ('tokenizer_path', _c.c_char * 1024), ('image_kind', _c.c_char * 16), ('text_kind', _c.c_char * 16)]

vkclip_hub_model._fields_ = [('name', _c.c_char_p), ('aliases', _c.c_char_p), ('repository', _c.c_char_p),
    ('family', _c.c_char_p), ('millions', _c.c_uint32), ('embed_dim', _c.c_uint32), ('languages', _c.c_char_p),
    ('licence', _c.c_char_p), ('obstacle', _c.c_char_p)]

vkclip_convert_params._fields_ = [('size', _c.c_size_t), ('type', vkclip_type), ('progress', vkclip_progress_fn),
    ('user', _c.c_void_p)]

vkclip_conversion._fields_ = [('size', _c.c_size_t), ('path', _c.c_char * 1024), ('bytes_before', _c.c_uint64),
    ('bytes_after', _c.c_uint64)]

vkclip_comparison._fields_ = [('size', _c.c_size_t), ('images', _c.c_size_t), ('texts', _c.c_size_t),
    ('image_min', _c.c_double), ('image_mean', _c.c_double), ('text_min', _c.c_double), ('text_mean', _c.c_double)]

vkclip_tokenizer_params._fields_ = [('size', _c.c_size_t), ('vocabulary', _c.c_uint32),
    ('min_frequency', _c.c_uint32), ('context', _c.c_uint32), ('column', _c.c_char_p),
    ('progress', vkclip_progress_fn), ('user', _c.c_void_p)]

vkclip_tokenizer_result._fields_ = [('size', _c.c_size_t), ('vocabulary', _c.c_uint32), ('texts', _c.c_uint64),
    ('words', _c.c_uint64), ('skipped_words', _c.c_uint64)]

vkclip_prompt_place._fields_ = [('id', _c.c_int32), ('embedding', _c.c_int32), ('vector', _c.c_uint32),
    ('special', _c.c_bool), ('weight', _c.c_double)]

vkclip_prompt._fields_ = [('size', _c.c_size_t), ('places', _c.POINTER(vkclip_prompt_place)), ('chunks', _c.c_uint32),
    ('length', _c.c_uint32), ('used', _c.c_uint32), ('available', _c.c_uint32), ('rest', _c.POINTER(_c.c_char)),
    ('weighting', vkclip_weighting)]

vkclip_embedding._fields_ = [('name', _c.c_char_p), ('vectors', _c.c_uint32)]

vkclip_prompt_params._fields_ = [('size', _c.c_size_t), ('syntax', vkclip_syntax), ('length', _c.c_uint32),
    ('strict', _c.c_bool), ('embeddings', _c.POINTER(vkclip_embedding)), ('embedding_count', _c.c_size_t)]

vkclip_image._fields_ = [('pixels', _c.POINTER(_c.c_uint8)), ('width', _c.c_uint32), ('height', _c.c_uint32),
    ('channels', _c.c_uint32), ('stride', _c.c_size_t), ('indexed', _c.c_bool), ('cmyk', _c.c_bool)]

vkclip_image_params._fields_ = [('size', _c.c_size_t), ('max_pixels', _c.c_uint64), ('orient', _c.c_bool),
    ('least_side', _c.c_uint32)]

vkclip_image_format._fields_ = [('name', _c.c_char_p), ('extensions', _c.c_char_p), ('library', _c.c_char_p),
    ('readable', _c.c_bool)]

vkclip_archive_params._fields_ = [('size', _c.c_size_t), ('progress', vkclip_progress_fn), ('user', _c.c_void_p)]

vkclip_item._fields_ = [('index', _c.c_size_t), ('error', _c.c_int), ('message', _c.c_char_p),
    ('embed', _c.POINTER(_c.c_float))]

vkclip_features._fields_ = [('layer', _c.c_int), ('norm', _c.c_bool), ('no_class', _c.c_bool), ('pooled', _c.c_bool),
    ('projected', _c.c_bool)]

vkclip_encode_params._fields_ = [('size', _c.c_size_t), ('no_normalize', _c.c_bool), ('hidden', vkclip_hidden_fn),
    ('progress', vkclip_progress_fn), ('user', _c.c_void_p), ('item', vkclip_item_fn), ('max_pixels', _c.c_uint64),
    ('orient', _c.c_bool), ('fast_decode', _c.c_bool), ('strict', _c.c_bool), ('lengths', _c.POINTER(_c.c_size_t)),
    ('features', _c.POINTER(vkclip_features)), ('attention_mask', _c.POINTER(_c.c_int32)),
    ('job', _c.POINTER(_c.POINTER(vkclip_job))), ('done', vkclip_done_fn)]

vkclip_lora._fields_ = [('path', _c.c_char_p), ('scale', _c.c_float)]

vkclip_conditioner_params._fields_ = [('size', _c.c_size_t), ('family', _c.c_char_p),
    ('vocabs', _c.POINTER(_c.c_char_p)), ('vocab_count', _c.c_size_t), ('precision', vkclip_precision),
    ('weights', vkclip_weights), ('max_batch', _c.c_uint32), ('stream', _c.c_bool),
    ('embeddings', _c.POINTER(_c.c_char_p)), ('embedding_count', _c.c_size_t), ('loras', _c.POINTER(vkclip_lora)),
    ('lora_count', _c.c_size_t), ('identify', _c.c_bool), ('compute', vkclip_compute),
    ('progress', vkclip_progress_fn), ('user', _c.c_void_p), ('hub_dir', _c.c_char_p)]

vkclip_encoder_info._fields_ = [('name', _c.c_char_p), ('absent', _c.c_bool), ('variable', _c.c_bool),
    ('length', _c.c_uint32), ('width', _c.c_uint32), ('model', _c.POINTER(vkclip_model)), ('identity', _c.c_char_p),
    ('embeddings', _c.POINTER(vkclip_embedding)), ('embedding_count', _c.c_size_t)]

vkclip_conditioner_info._fields_ = [('size', _c.c_size_t), ('family', _c.c_char_p),
    ('encoders', _c.POINTER(_c.POINTER(vkclip_encoder_info))), ('encoder_count', _c.c_size_t),
    ('zero_negative', _c.c_bool), ('no_negative', _c.c_bool)]

vkclip_condition_params._fields_ = [('size', _c.c_size_t), ('prompts', _c.POINTER(_c.c_char_p) * 3),
    ('count', _c.c_size_t), ('negatives', _c.POINTER(_c.c_char_p) * 3), ('negative_count', _c.c_size_t),
    ('zero_negative', _c.c_bool), ('syntax', vkclip_syntax), ('clip_skip', _c.c_uint32),
    ('clip_skip_diffusers', _c.c_uint32), ('max_sequence_length', _c.c_uint32), ('strict', _c.c_bool),
    ('f16', _c.c_bool), ('progress', vkclip_progress_fn), ('user', _c.c_void_p)]

vkclip_tensor._fields_ = [('name', _c.c_char_p), ('type', vkclip_tensor_type), ('rank', _c.c_size_t),
    ('shape', _c.c_size_t * 3), ('size', _c.c_size_t), ('data', _c.c_void_p)]

vkclip_prompt_usage._fields_ = [('encoder', _c.c_char_p), ('negative', _c.c_bool), ('prompt', _c.c_size_t),
    ('used', _c.c_uint32), ('available', _c.c_uint32), ('rest', _c.c_char_p)]

vkclip_conditioning._fields_ = [('tensors', _c.POINTER(vkclip_tensor)), ('tensor_count', _c.c_size_t),
    ('usage', _c.POINTER(vkclip_prompt_usage)), ('usage_count', _c.c_size_t)]

vkclip_node._fields_ = [('op', _c.c_char_p), ('name', _c.c_char_p), ('shape', _c.c_char * 64),
    ('kernel', _c.c_char * 80), ('operations', _c.c_double), ('bytes', _c.c_double), ('seconds', _c.c_double)]

vkclip_cost._fields_ = [('size', _c.c_size_t), ('operations', _c.c_double), ('bytes', _c.c_double),
    ('device_bytes', _c.c_uint64)]

vkclip_grid._fields_ = [('side', _c.c_uint32), ('left', _c.c_double), ('top', _c.c_double), ('width', _c.c_double),
    ('height', _c.c_double)]

vkclip_explain_params._fields_ = [('size', _c.c_size_t), ('layers', _c.c_uint32), ('progress', vkclip_progress_fn),
    ('user', _c.c_void_p)]

vkclip_probe_params._fields_ = [('size', _c.c_size_t), ('c', _c.c_double), ('max_iterations', _c.c_uint32),
    ('tolerance', _c.c_double), ('progress', vkclip_progress_fn), ('user', _c.c_void_p)]

vkclip_probe_result._fields_ = [('size', _c.c_size_t), ('iterations', _c.c_uint32), ('converged', _c.c_bool),
    ('objective', _c.c_double)]

vkclip_index_params._fields_ = [('size', _c.c_size_t), ('path', _c.c_char_p), ('read_only', _c.c_bool),
    ('progress', vkclip_progress_fn), ('user', _c.c_void_p)]

vkclip_index_info._fields_ = [('size', _c.c_size_t), ('path', _c.c_char * 1024), ('files', _c.c_uint64),
    ('pictures', _c.c_uint64), ('missing', _c.c_uint64), ('failed', _c.c_uint64), ('folders', _c.c_uint64),
    ('models', _c.c_uint64), ('bytes', _c.c_uint64)]

vkclip_index_model._fields_ = [('size', _c.c_size_t), ('identity', _c.c_char * 33), ('name', _c.c_char * 1024),
    ('embed_dim', _c.c_uint32), ('vectors', _c.c_uint64)]

vkclip_update_progress._fields_ = [('found', _c.c_uint64), ('total', _c.c_uint64), ('done', _c.c_uint64)]

vkclip_update_params._fields_ = [('size', _c.c_size_t), ('thumbnails', _c.c_bool), ('retry', _c.c_bool),
    ('exact_decode', _c.c_bool), ('max_pixels', _c.c_uint64), ('progress', vkclip_update_fn),
    ('failure', vkclip_failure_fn), ('user', _c.c_void_p)]

vkclip_update_result._fields_ = [('size', _c.c_size_t), ('indexed', _c.c_uint64), ('added', _c.c_uint64),
    ('changed', _c.c_uint64), ('moved', _c.c_uint64), ('removed', _c.c_uint64), ('failed', _c.c_uint64),
    ('encoded', _c.c_uint64), ('thumbnails', _c.c_uint64)]

vkclip_import_result._fields_ = [('size', _c.c_size_t), ('rows', _c.c_uint64), ('imported', _c.c_uint64),
    ('left_out', _c.c_uint64), ('compared', _c.c_uint64), ('least_cosine', _c.c_double)]

vkclip_query_part._fields_ = [('kind', vkclip_query_kind), ('value', _c.c_char_p), ('id', _c.c_int64),
    ('weight', _c.c_double), ('data', _c.c_void_p), ('size', _c.c_size_t)]

vkclip_search_params._fields_ = [('size', _c.c_size_t), ('parts', _c.POINTER(vkclip_query_part)),
    ('part_count', _c.c_size_t), ('top', _c.c_size_t), ('sort', vkclip_sort), ('min_score', _c.c_double),
    ('min_z', _c.c_double), ('relative', _c.c_double), ('path_glob', _c.c_char_p), ('after', _c.c_int64),
    ('before', _c.c_int64), ('latitude', _c.c_double), ('longitude', _c.c_double), ('kilometers', _c.c_double),
    ('camera', _c.c_char_p), ('type', _c.c_char_p), ('min_width', _c.c_uint32), ('min_height', _c.c_uint32),
    ('max_pixels', _c.c_uint64), ('progress', vkclip_progress_fn)]

vkclip_hit._fields_ = [('id', _c.c_int64), ('path', _c.c_char_p), ('copies', _c.c_size_t), ('score', _c.c_float),
    ('z', _c.c_float), ('width', _c.c_uint32), ('height', _c.c_uint32), ('date', _c.c_int64), ('taken', _c.c_bool),
    ('latitude', _c.c_double), ('longitude', _c.c_double), ('camera', _c.c_char_p), ('format', _c.c_char_p)]

vkclip_group._fields_ = [('kind', vkclip_group_kind), ('paths', _c.POINTER(_c.c_char_p)),
    ('ids', _c.POINTER(_c.c_int64)), ('count', _c.c_size_t), ('cosine', _c.c_double)]

vkclip_duplicates_params._fields_ = [('size', _c.c_size_t), ('model', _c.c_char_p), ('distance', _c.c_double),
    ('progress', vkclip_share_fn)]

vkclip_augmentation._fields_ = [('off', _c.c_bool), ('scale', _c.c_double * 2), ('ratio', _c.c_double * 2),
    ('rotate', _c.c_double), ('fill_mean', _c.c_bool), ('color_jitter', _c.c_double * 4),
    ('color_jitter_prob', _c.c_double), ('gray_scale_prob', _c.c_double), ('channel_gain', _c.c_double)]

vkclip_trainer_params._fields_ = [('size', _c.c_size_t), ('model', _c.c_char_p), ('init', _c.c_char_p),
    ('vocab', _c.c_char_p), ('activation', vkclip_activation), ('state_dict', _c.c_char_p),
    ('data', _c.POINTER(_c.c_char_p)), ('data_count', _c.c_size_t), ('val_data', _c.c_char_p),
    ('data_raw', _c.c_char_p), ('csv_separator', _c.c_char), ('csv_img_key', _c.c_char_p),
    ('csv_caption_key', _c.c_char_p), ('label_key', _c.c_char_p), ('templates', _c.POINTER(_c.c_char_p)),
    ('template_count', _c.c_size_t), ('augmentation', vkclip_augmentation), ('workers', _c.c_uint),
    ('batch_size', _c.c_uint32), ('accum_freq', _c.c_uint32), ('lr', _c.c_double), ('beta1', _c.c_double),
    ('beta2', _c.c_double), ('eps', _c.c_double), ('wd', _c.c_double), ('grad_clip_norm', _c.c_double),
    ('ema_decay', _c.c_double), ('warmup', _c.c_int64), ('lr_scheduler', vkclip_lr_scheduler),
    ('steps_cooldown', _c.c_uint64), ('epochs_cooldown', _c.c_uint32), ('lr_cooldown_power', _c.c_double),
    ('lr_cooldown_end', _c.c_double), ('steps', _c.c_uint64), ('epochs', _c.c_uint32), ('seed', _c.c_uint64),
    ('freeze_bn_stats', _c.c_bool), ('lock_image', _c.c_bool), ('lock_text', _c.c_bool),
    ('lock_image_unlocked_groups', _c.c_uint32), ('lock_text_unlocked_layers', _c.c_uint32),
    ('precision', vkclip_precision), ('checkpoint_activations', _c.c_bool), ('loss', vkclip_loss),
    ('output', _c.c_char_p), ('resume', _c.c_bool), ('keep', _c.c_uint32), ('progress', vkclip_progress_fn),
    ('user', _c.c_void_p)]

vkclip_trainer_info._fields_ = [('size', _c.c_size_t), ('step', _c.c_uint64), ('steps', _c.c_uint64),
    ('epoch_steps', _c.c_uint64), ('batch', _c.c_uint32), ('batch_size', _c.c_uint32), ('parameters', _c.c_uint64),
    ('trained_parameters', _c.c_uint64), ('samples', _c.c_uint64), ('captions', _c.c_uint64), ('labels', _c.c_uint64),
    ('incomplete', _c.c_uint64)]

vkclip_trainer_memory._fields_ = [('size', _c.c_size_t), ('weights', _c.c_uint64), ('gradients', _c.c_uint64),
    ('moments', _c.c_uint64), ('activations', _c.c_uint64), ('least', _c.c_uint64)]

vkclip_train_result._fields_ = [('size', _c.c_size_t), ('step', _c.c_uint64), ('loss', _c.c_float),
    ('lr', _c.c_float), ('logit_scale', _c.c_float), ('grad_norm', _c.c_float), ('loss_scale', _c.c_float),
    ('seconds', _c.c_double), ('waiting', _c.c_double), ('broken', _c.c_uint64), ('cut', _c.c_uint64)]

vkclip_validation._fields_ = [('size', _c.c_size_t), ('images', _c.c_uint64), ('captions', _c.c_uint64),
    ('loss', _c.c_double), ('image_to_text', _c.c_double * 3), ('text_to_image', _c.c_double * 3),
    ('seconds', _c.c_double)]

# The name, the result and the parameters of each function.
FUNCTIONS: List[Any] = [
    ('vkclip_version', _c.c_char_p),
    ('vkclip_read_environment', _c.c_int),
    ('vkclip_set_allocator', _c.c_int, _c.POINTER(vkclip_allocator)),
    ('vkclip_get_build', _c.c_char_p),
    ('vkclip_get_kernel_caps', _c.c_int, _c.POINTER(_c.c_char), _c.c_size_t),
    ('vkclip_error_text', _c.c_char_p, _c.c_int),
    ('vkclip_last_error', _c.c_char_p),
    ('vkclip_set_log', None, vkclip_log_fn, _c.c_void_p),
    ('vkclip_list_devices', _c.c_int, _c.POINTER(vkclip_device_info), _c.c_size_t, _c.POINTER(_c.c_size_t)),
    ('vkclip_open_device', _c.c_int, _c.POINTER(vkclip_device_params), _c.POINTER(_c.POINTER(vkclip_device))),
    ('vkclip_get_device_info', _c.c_int, _c.POINTER(vkclip_device), _c.POINTER(vkclip_device_info)),
    ('vkclip_get_device_infos', _c.c_int, _c.POINTER(vkclip_device), _c.POINTER(vkclip_device_info), _c.c_size_t,
        _c.POINTER(_c.c_size_t)),
    ('vkclip_measure_peaks', _c.c_int, _c.POINTER(vkclip_device), vkclip_progress_fn, _c.c_void_p,
        _c.POINTER(vkclip_peaks)),
    ('vkclip_close_device', None, _c.POINTER(_c.POINTER(vkclip_device))),
    ('vkclip_check_device', _c.c_int, _c.POINTER(vkclip_device), _c.c_char_p, vkclip_check_fn, _c.c_void_p,
        _c.POINTER(_c.c_size_t)),
    ('vkclip_list_tuning', _c.c_int, _c.POINTER(vkclip_device), vkclip_tuning_fn, _c.c_void_p),
    ('vkclip_open_model', _c.c_int, _c.POINTER(vkclip_device), _c.c_char_p, _c.POINTER(vkclip_model_params),
        _c.POINTER(_c.POINTER(vkclip_model))),
    ('vkclip_open_model_file', _c.c_int, _c.POINTER(vkclip_device), _c.c_int, _c.c_uint64, _c.c_uint64,
        _c.POINTER(vkclip_model_params), _c.POINTER(_c.POINTER(vkclip_model))),
    ('vkclip_open_model_memory', _c.c_int, _c.POINTER(vkclip_device), _c.c_void_p, _c.c_size_t,
        _c.POINTER(vkclip_model_params), _c.POINTER(_c.POINTER(vkclip_model))),
    ('vkclip_get_model_info', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(vkclip_model_info)),
    ('vkclip_close_model', None, _c.POINTER(_c.POINTER(vkclip_model))),
    ('vkclip_get_hub_model', _c.POINTER(vkclip_hub_model), _c.c_size_t),
    ('vkclip_find_hub_model', _c.POINTER(vkclip_hub_model), _c.c_char_p),
    ('vkclip_has_cached_model', _c.c_bool, _c.c_char_p, _c.c_char_p),
    ('vkclip_arch_name', _c.c_char_p, _c.c_size_t),
    ('vkclip_init_model', _c.c_int, _c.c_char_p, _c.c_uint64, _c.c_char_p, vkclip_progress_fn, _c.c_void_p),
    ('vkclip_convert_model', _c.c_int, _c.c_char_p, _c.POINTER(vkclip_model_params), _c.c_char_p,
        _c.POINTER(vkclip_convert_params), _c.POINTER(vkclip_conversion)),
    ('vkclip_compare_models', _c.c_int, _c.POINTER(vkclip_device), _c.c_char_p, _c.POINTER(vkclip_model_params),
        _c.c_char_p, _c.POINTER(vkclip_model_params), vkclip_progress_fn, _c.c_void_p, _c.POINTER(vkclip_comparison)),
    ('vkclip_tokenize', _c.c_int, _c.POINTER(vkclip_model), _c.c_char_p, _c.c_size_t, _c.c_uint,
        _c.POINTER(_c.c_int32), _c.c_size_t, _c.POINTER(_c.c_size_t)),
    ('vkclip_detokenize', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(_c.c_int32), _c.c_size_t,
        _c.POINTER(_c.c_char), _c.c_size_t, _c.POINTER(_c.c_size_t)),
    ('vkclip_train_tokenizer', _c.c_int, _c.POINTER(_c.c_char_p), _c.c_size_t, _c.POINTER(vkclip_tokenizer_params),
        _c.c_char_p, _c.POINTER(vkclip_tokenizer_result)),
    ('vkclip_tokenize_prompt', _c.c_int, _c.POINTER(vkclip_model), _c.c_char_p, _c.c_size_t,
        _c.POINTER(vkclip_prompt_params), _c.POINTER(vkclip_prompt)),
    ('vkclip_free_prompt', None, _c.POINTER(vkclip_prompt)),
    ('vkclip_load_image', _c.c_int, _c.c_char_p, _c.POINTER(vkclip_image_params), _c.POINTER(vkclip_image)),
    ('vkclip_decode_image', _c.c_int, _c.c_void_p, _c.c_size_t, _c.c_char_p, _c.POINTER(vkclip_image_params),
        _c.POINTER(vkclip_image)),
    ('vkclip_free_image', None, _c.POINTER(vkclip_image)),
    ('vkclip_make_thumbnail', _c.c_int, _c.POINTER(vkclip_image), _c.c_uint32, vkclip_bytes_fn, _c.c_void_p),
    ('vkclip_get_image_format', _c.POINTER(vkclip_image_format), _c.c_size_t),
    ('vkclip_find_image_format', _c.POINTER(vkclip_image_format), _c.c_char_p),
    ('vkclip_open_archive', _c.c_int, _c.c_char_p, _c.POINTER(_c.POINTER(vkclip_archive))),
    ('vkclip_open_tar', _c.c_int, _c.c_char_p, _c.POINTER(vkclip_archive_params),
        _c.POINTER(_c.POINTER(vkclip_archive))),
    ('vkclip_get_archived_name', _c.c_char_p, _c.POINTER(vkclip_archive), _c.c_size_t),
    ('vkclip_load_archived', _c.c_int, _c.POINTER(vkclip_archive), _c.c_size_t, _c.POINTER(vkclip_image_params),
        _c.POINTER(vkclip_image)),
    ('vkclip_close_archive', None, _c.POINTER(_c.POINTER(vkclip_archive))),
    ('vkclip_preprocess', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(vkclip_image), _c.POINTER(_c.c_uint8),
        _c.POINTER(_c.c_float)),
    ('vkclip_parse_features', _c.c_int, _c.c_char_p, _c.POINTER(vkclip_features)),
    ('vkclip_get_features_shape', _c.c_int, _c.POINTER(vkclip_model), vkclip_tower, _c.POINTER(vkclip_features),
        _c.c_size_t, _c.POINTER(_c.c_size_t)),
    ('vkclip_encode_files', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(_c.c_char_p), _c.c_size_t,
        _c.POINTER(vkclip_encode_params), _c.POINTER(_c.c_float)),
    ('vkclip_encode_images', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(vkclip_image), _c.c_size_t,
        _c.POINTER(vkclip_encode_params), _c.POINTER(_c.c_float)),
    ('vkclip_encode_pixels', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(_c.c_float), _c.c_size_t,
        _c.POINTER(vkclip_encode_params), _c.POINTER(_c.c_float)),
    ('vkclip_encode_source', _c.c_int, _c.POINTER(vkclip_model), vkclip_source_fn, _c.c_size_t,
        _c.POINTER(vkclip_encode_params), _c.POINTER(_c.c_float)),
    ('vkclip_encode_texts', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(_c.c_char_p), _c.c_size_t,
        _c.POINTER(vkclip_encode_params), _c.POINTER(_c.c_float)),
    ('vkclip_encode_tokens', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(_c.c_int32), _c.c_size_t, _c.c_size_t,
        _c.POINTER(vkclip_encode_params), _c.POINTER(_c.c_float)),
    ('vkclip_wait_job', _c.c_int, _c.POINTER(vkclip_job), _c.c_double, _c.POINTER(_c.c_bool)),
    ('vkclip_cancel_job', _c.c_int, _c.POINTER(vkclip_job)),
    ('vkclip_close_job', None, _c.POINTER(_c.POINTER(vkclip_job))),
    ('vkclip_diffusion_family', _c.c_char_p, _c.c_size_t),
    ('vkclip_open_conditioner', _c.c_int, _c.POINTER(vkclip_device), _c.POINTER(_c.c_char_p), _c.c_size_t,
        _c.POINTER(vkclip_conditioner_params), _c.POINTER(_c.POINTER(vkclip_conditioner))),
    ('vkclip_close_conditioner', None, _c.POINTER(_c.POINTER(vkclip_conditioner))),
    ('vkclip_get_conditioner_info', _c.c_int, _c.POINTER(vkclip_conditioner), _c.POINTER(vkclip_conditioner_info)),
    ('vkclip_tokenize_condition', _c.c_int, _c.POINTER(vkclip_conditioner), _c.c_size_t, _c.c_char_p,
        _c.POINTER(vkclip_prompt_params), _c.POINTER(vkclip_prompt)),
    ('vkclip_condition', _c.c_int, _c.POINTER(vkclip_conditioner), _c.POINTER(vkclip_condition_params),
        _c.POINTER(_c.POINTER(vkclip_conditioning))),
    ('vkclip_free_conditioning', None, _c.POINTER(_c.POINTER(vkclip_conditioning))),
    ('vkclip_profile', _c.c_int, _c.POINTER(vkclip_model), vkclip_tower, _c.c_uint32, vkclip_node_fn, _c.c_void_p,
        _c.POINTER(vkclip_cost)),
    ('vkclip_similarity', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(_c.c_float), _c.c_size_t,
        _c.POINTER(_c.c_float), _c.c_size_t, _c.POINTER(_c.c_float)),
    ('vkclip_encode_labels', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(_c.c_char_p), _c.c_size_t,
        _c.POINTER(_c.c_char_p), _c.c_size_t, _c.POINTER(vkclip_encode_params), _c.POINTER(_c.c_float)),
    ('vkclip_classify', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(vkclip_image), _c.c_size_t,
        _c.POINTER(_c.c_float), _c.c_size_t, _c.POINTER(vkclip_encode_params), _c.POINTER(_c.c_float),
        _c.POINTER(_c.c_float)),
    ('vkclip_get_grid', _c.c_int, _c.POINTER(vkclip_model), _c.c_uint32, _c.c_uint32, _c.POINTER(vkclip_grid)),
    ('vkclip_explain', _c.c_int, _c.POINTER(vkclip_model), _c.POINTER(vkclip_image), _c.POINTER(_c.c_float),
        _c.c_size_t, _c.POINTER(vkclip_explain_params), _c.POINTER(_c.c_float), _c.POINTER(_c.c_float)),
    ('vkclip_fit_probe', _c.c_int, _c.POINTER(_c.c_float), _c.POINTER(_c.c_uint32), _c.c_size_t, _c.c_size_t,
        _c.c_size_t, _c.POINTER(vkclip_probe_params), _c.POINTER(_c.c_float), _c.POINTER(_c.c_float),
        _c.POINTER(vkclip_probe_result)),
    ('vkclip_apply_probe', _c.c_int, _c.POINTER(_c.c_float), _c.c_size_t, _c.c_size_t, _c.POINTER(_c.c_float),
        _c.POINTER(_c.c_float), _c.c_size_t, _c.POINTER(_c.c_float)),
    ('vkclip_has_search', _c.c_bool),
    ('vkclip_has_postgresql', _c.c_bool),
    ('vkclip_open_index', _c.c_int, _c.POINTER(vkclip_index_params), _c.POINTER(_c.POINTER(vkclip_index))),
    ('vkclip_close_index', None, _c.POINTER(_c.POINTER(vkclip_index))),
    ('vkclip_get_index_info', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_index_info)),
    ('vkclip_list_index_models', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_index_model), _c.c_size_t,
        _c.POINTER(_c.c_size_t)),
    ('vkclip_list_index_folders', _c.c_int, _c.POINTER(vkclip_index), vkclip_folder_fn, _c.c_void_p),
    ('vkclip_list_index_failures', _c.c_int, _c.POINTER(vkclip_index), vkclip_failure_fn, _c.c_void_p),
    ('vkclip_index_paths', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_model), _c.POINTER(_c.c_char_p),
        _c.c_size_t, _c.POINTER(vkclip_update_params), _c.POINTER(vkclip_update_result)),
    ('vkclip_watch_index', _c.c_int, _c.POINTER(vkclip_index), _c.c_double, _c.POINTER(_c.c_bool)),
    ('vkclip_remove_indexed', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(_c.c_char_p), _c.c_size_t,
        _c.POINTER(_c.c_uint64)),
    ('vkclip_prune_index', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(_c.c_uint64)),
    ('vkclip_add_hnsw_index', _c.c_int, _c.POINTER(vkclip_index)),
    ('vkclip_export_index', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_model), _c.c_char_p,
        _c.POINTER(_c.c_uint64)),
    ('vkclip_import_rclip', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_model), _c.c_char_p,
        vkclip_progress_fn, _c.c_void_p, _c.POINTER(vkclip_import_result)),
    ('vkclip_search', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_model), _c.POINTER(vkclip_search_params),
        vkclip_hit_fn, _c.c_void_p),
    ('vkclip_upload_index', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_model)),
    ('vkclip_list_indexed', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_model),
        _c.POINTER(vkclip_search_params), vkclip_indexed_fn, _c.c_void_p),
    ('vkclip_load_thumbnail', _c.c_int, _c.POINTER(vkclip_index), _c.c_int64, _c.POINTER(vkclip_image)),
    ('vkclip_read_thumbnail', _c.c_int, _c.POINTER(vkclip_index), _c.c_int64, vkclip_bytes_fn, _c.c_void_p),
    ('vkclip_read_embedding', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_model), _c.c_int64,
        _c.POINTER(_c.c_float)),
    ('vkclip_find_indexed', _c.c_int, _c.POINTER(vkclip_index), _c.c_int64, vkclip_hit_fn, _c.c_void_p),
    ('vkclip_open_indexed', _c.c_int, _c.POINTER(vkclip_index), _c.c_int64, _c.POINTER(_c.c_int),
        _c.POINTER(_c.c_uint64)),
    ('vkclip_find_duplicates', _c.c_int, _c.POINTER(vkclip_index), _c.POINTER(vkclip_device),
        _c.POINTER(vkclip_duplicates_params), vkclip_group_fn, _c.c_void_p),
    ('vkclip_forget_duplicates', _c.c_int, _c.POINTER(vkclip_index), _c.c_char_p, _c.c_char_p),
    ('vkclip_open_trainer', _c.c_int, _c.POINTER(vkclip_device), _c.POINTER(vkclip_trainer_params),
        _c.POINTER(_c.POINTER(vkclip_trainer))),
    ('vkclip_get_trainer_info', _c.c_int, _c.POINTER(vkclip_trainer), _c.POINTER(vkclip_trainer_info)),
    ('vkclip_measure_trainer', _c.c_int, _c.POINTER(vkclip_trainer), _c.c_bool, _c.POINTER(vkclip_trainer_memory)),
    ('vkclip_check_trainer_memory', _c.c_int, _c.POINTER(vkclip_trainer), _c.POINTER(vkclip_device)),
    ('vkclip_train_step', _c.c_int, _c.POINTER(vkclip_trainer), _c.POINTER(vkclip_train_result)),
    ('vkclip_validate_trainer', _c.c_int, _c.POINTER(vkclip_trainer), _c.POINTER(vkclip_validation)),
    ('vkclip_save_trainer', _c.c_int, _c.POINTER(vkclip_trainer), _c.POINTER(_c.c_char), _c.c_size_t),
    ('vkclip_save_trained_model', _c.c_int, _c.POINTER(vkclip_trainer)),
    ('vkclip_close_trainer', None, _c.POINTER(_c.POINTER(vkclip_trainer))),
]


def declare(library: Any) -> None:
    """Gives the functions of a library their types. An older library lacks the newest functions of the header."""
    for name, result, *parameters in FUNCTIONS:
        function = getattr(library, name, None)
        if function:
            function.restype = result
            function.argtypes = parameters
