/* SPDX-License-Identifier: MIT
 *
 * PyTorch's checkpoints: every form gives the same values as the same weights in safetensors, as
 * views into the file, and every kind of hostile pickle and archive is refused with a message that
 * says what is wrong with it.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/half.h"
#include "support/checkpoints.h"
#include "support/torch_files.h"
#include "support/weights.h"
#include "format/torch_pt.h"
#include "checkpoint/weights.h"

static float sixteen[16];

static int fill_sixteen(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++)
        sixteen[i] = (float)i + 0.5f;
    return 0;
}

/* Builds an archive of a pickle and a record data/0 with 16 floats. */
static uint8_t *wrap(const void *pickle, size_t pickle_size, size_t *size)
{
    const struct archive_record records[] = {
        {"x/data.pkl", pickle, pickle_size},
        {"x/data/0", sixteen, sizeof(sixteen)},
        {"x/version", "3\n", 2},
    };
    return archive_build(records, ARRAY_COUNT(records), size);
}

static const struct tensor_view *find(const struct torch_pt *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++)
        if (!strcmp(file->tensors[i].name, name))
            return &file->tensors[i];
    fail_msg("%s is missing", name);
    return NULL;
}

/* ---- The reference's files ------------------------------------------------------------------- */

static void reads_as_safetensors(void **state)
{
    (void)state;
    static const char *const files[] = {"models/openai-vit/model.pt",
                                        "models/openai-vit/model_jit.pt"};
    char *path = golden_path("models/hf-vit/model.safetensors");
    struct weights *expected, *found;
    assert_int_equal(weights_open(path, &expected), 0);
    free(path);
    for (size_t f = 0; f < ARRAY_COUNT(files); f++) {
        path = golden_path(files[f]);
        if (weights_open(path, &found))
            fail_msg("%s", vkclip_last_error());
        free(path);
        assert_int_equal(weights_family(found), VKCLIP_FAMILY_OPENAI);
        assert_same_weights(found, expected, false);
        weights_close(&found);
    }
    weights_close(&expected);
}

/* The ResNet checkpoint in half precision holds the rounded values of the one in full precision. */
static void reads_halves(void **state)
{
    (void)state;
    static const char *const files[] = {"models/openai-rn/model_fp16.pt",
                                        "models/openai-rn/model_jit_fp16.pt"};
    char *path = golden_path("models/openai-rn/model.safetensors");
    struct safetensors *expected;
    struct torch_pt *file;
    assert_int_equal(safetensors_open(path, &expected), 0);
    free(path);
    for (size_t f = 0; f < ARRAY_COUNT(files); f++) {
        size_t halves = 0, compared = 0;
        if (!(path = golden_path(files[f]))) {
            printf("skipped: reference data %s is not here\n", files[f]);
            continue;
        }
        if (torch_pt_open(path, &file))
            fail_msg("%s", vkclip_last_error());
        for (size_t i = 0; i < expected->count; i++) {
            const struct tensor_view *a = &expected->tensors[i], *b = find(file, a->name);
            assert_int_equal(a->rank, b->rank);
            assert_memory_equal(a->shape, b->shape, a->rank * sizeof(*a->shape));
            for (uint64_t j = 0; dtype_is_float(a->dtype) && j < a->size / 4; j++) {
                float value = tensor_view_value(a, j);
                if (b->dtype == DTYPE_F16)
                    value = half_to_float(half_from_float(value));
                assert_true(value == tensor_view_value(b, j));
            }
            halves += b->dtype == DTYPE_F16;
            compared++;
        }
        assert_true(halves > 20 && compared > 100);
        /* Every tensor is a view into the file, because a copy would take memory twice. */
        for (size_t i = 0; i < file->count; i++) {
            const uint8_t *data = file->tensors[i].data;
            assert_false(file->tensors[i].resident);
            assert_true(data >= file->map.data &&
                        data + file->tensors[i].size <= file->map.data + file->map.size);
        }
        torch_pt_close(&file);
        assert_null(file);
        torch_pt_close(&file);
        free(path);
    }
    safetensors_close(&expected);
}

/* Folders of Hugging Face and OpenCLIP open with a PyTorch file in place of safetensors. */
static void opens_folders(void **state)
{
    (void)state;
    static const struct {
        const char *golden, *weights, *config, *torch_weights;
    } folders[] = {
        {HF, "model.safetensors", "config.json", "pytorch_model.bin"},
        {OPENCLIP, "open_clip_model.safetensors", "open_clip_config.json",
         "open_clip_pytorch_model.bin"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        char *folder = scratch_folder(),
             *golden = golden_file(folders[i].golden, folders[i].weights);
        char *path = scratch_path(folder, folders[i].torch_weights);
        struct safetensors *file;
        struct config config;
        struct weights *weights;
        size_t size;
        link_golden(folder, folders[i].golden, folders[i].config, NULL);
        if (i == 0)
            link_golden(folder, folders[i].golden, "preprocessor_config.json", NULL);
        assert_int_equal(safetensors_open(golden, &file), 0);
        uint8_t *data = archive_save(file->tensors, file->count, &size);
        scratch_write(folder, folders[i].torch_weights, data, size);
        if (checkpoint_open(folder, NULL, &config, &weights))
            fail_msg("%s", vkclip_last_error());
        assert_string_equal(weights_path(weights), path);
        assert_true(config.image.kind == KIND_VIT && config.text.kind == KIND_TEXT);
        config_close(&config);
        weights_close(&weights);
        safetensors_close(&file);
        free(data), free(path), free(golden);
        scratch_remove(folder);
    }
}

/* ---- Forms of a state dict ------------------------------------------------------------------- */

#define MATRIX "K\x03K\x02\x86" /* sizes (3, 2) */
#define FOUR "K\x04\x85"
#define ONE "K\x01\x85"
#define GOOD_W TENSOR(SIXTEEN, INT("\x02"), FOUR, ONE)

/* Each pickle has a tensor "w" with these values in fp32. */
static const struct good {
    const char *what, *pickle;
    size_t size;
    unsigned rank;
    float values[6];
    bool resident;
    const char *name; /* of the tensor, if not "w" */
} good_pickles[] = {
#define G(what, pickle) what, pickle, sizeof(pickle) - 1
    {G("a dict", PICKLE(DICT(W GOOD_W))), 1, {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("an item set by itself", PICKLE("}" W GOOD_W "s")), 1, {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("an OrderedDict with its state",
       PICKLE("ccollections\nOrderedDict\n)R(" W GOOD_W "u}" STR("\x09", "_metadata") "}sb")),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("a training checkpoint",
       PICKLE(DICT(STR("\x05", "epoch") INT("\x05") STR("\x0a", "state_dict") DICT(W GOOD_W)
                       STR("\x09", "optimizer")
                           DICT(W GOOD_W STR("\x02", "lr") "G\x3f\x50\x62\x4d\xd2\xf1\xa9\xfc" STR(
                               "\x06", "groups") "](K\x01NK\x02"
                                                 "e" STR("\x01", "b") "]Na")))),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f},
     false,
     "state_dict.w"},
    {G("dicts in dicts", PICKLE(DICT(STR("\x01", "a") DICT(STR("\x01", "b") DICT(W GOOD_W))))),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f},
     false,
     "a.b.w"},
    {G("a device",
       PICKLE(DICT(STR("\x01", "d") "ctorch\ndevice\n" STR("\x03", "cpu") "\x85R" W GOOD_W))),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("a class as the key of a callback's state",
       PICKLE(DICT(STR("\x09", "callbacks") DICT(
           "cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n" DICT(W GOOD_W))
                       W GOOD_W))),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("settings as an object",
       PICKLE(DICT(STR("\x01", "n") "cargparse\nNamespace\n)\x81}(" W GOOD_W "ub" W GOOD_W))),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("a number of numpy",
       PICKLE(DICT(STR("\x01", "n") "cnumpy.core.multiarray\nscalar\n"
                                    "cnumpy\ndtype\n(" STR("\x02", "f8") "K\x00K\x01tR(K\x03" STR(
                                        "\x01", "<") "NtbC\x01x\x86R" W GOOD_W))),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("a dict with a default",
       PICKLE(DICT(STR("\x01", "n") "ccollections\ndefaultdict\n"
                                    "c__builtin__\nlist\n\x85R(" W GOOD_W "u" W GOOD_W))),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("modules of TorchScript",
       PICKLE("c__torch__\nNet\n)\x81}(" W GOOD_W STR("\x08", "training") "\x88"
                                                                          "ub")),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("a parameter", PICKLE(DICT(W "ctorch._utils\n_rebuild_parameter\n(" GOOD_W "\x88"
                                    "ccollections\nOrderedDict\n)RtR"))),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("a transposed matrix",
       PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x01"), MATRIX, "K\x01K\x03\x86")))),
     2,
     {1.5f, 4.5f, 2.5f, 5.5f, 3.5f, 6.5f},
     true},
    {G("a part of a matrix",
       PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), MATRIX, "K\x04K\x01\x86")))),
     2,
     {0.5f, 1.5f, 4.5f, 5.5f, 8.5f, 9.5f},
     true},
    {G("any stride of a dimension of one",
       PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x03"), "K\x01K\x02\x86", "K\x63K\x01\x86")))),
     2,
     {3.5f, 4.5f}},
    {G("a scalar", PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x0f"), ")", ")")))), 0, {15.5f}},
    {G("a storage without a type",
       PICKLE(DICT(W "ctorch._utils\n_rebuild_tensor_v3\n(" STORAGE(
           "ctorch.storage\nUntypedStorage\n", "0", INT("\x40")) INT("\x02") FOUR ONE
                   "\x89}ctorch\nfloat32\ntR"))),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
    {G("protocol 4: frames, memo, global from the stack, long integers",
       "\x80\x04\x95\x10\0\0\0\0\0\0\0}" W "\x94" STR("\x0c", "torch._utils")
           STR("\x12", "_rebuild_tensor_v2") "\x93\x94(" SIXTEEN "\x8a\x01\x02"
                                             "J\x04\0\0\0\x85"
                                             "\x8b\x01\0\0\0\x01\x85\x89)tRs."),
     1,
     {2.5f, 3.5f, 4.5f, 5.5f}},
#undef G
};

static void reads_every_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good_pickles); i++) {
        const struct good *good = &good_pickles[i];
        struct torch_pt *file;
        size_t size;
        uint8_t *data = wrap(good->pickle, good->size, &size);
        if (torch_pt_parse(data, size, good->what, &file))
            fail_msg("%s", vkclip_last_error());
        assert_int_equal(file->count, 1);
        const struct tensor_view *view = find(file, good->name ? good->name : "w");
        assert_int_equal(view->rank, good->rank);
        assert_int_equal(view->resident, good->resident);
        for (uint64_t j = 0; j < view->size / 4; j++)
            assert_true(tensor_view_value(view, j) == good->values[j]);
        torch_pt_close(&file);
        free(data);
    }
}

/* A copied tensor keeps its values when it is read twice: the pages of mapped tensors are released
 * after a read, which must not happen to a copy. */
static void keeps_copies(void **state)
{
    (void)state;
    enum { SIDE = 128 };
    static const char pickle[] = PICKLE(DICT(STR("\x0b", "visual.proj") TENSOR(
        STORAGE(FLOATS, "0", "J\0\x40\0\0"), INT("\x00"), "K\x80K\x80\x86", "K\x01K\x80\x86")));
    float *values = malloc(SIDE * SIDE * sizeof(*values)), *found = malloc(SIDE * SIDE * 4);
    for (int i = 0; i < SIDE * SIDE; i++)
        values[i] = (float)(i + 1);
    const struct archive_record records[] = {
        {"archive/data.pkl", pickle, sizeof(pickle) - 1},
        {"archive/data/0", values, SIDE * SIDE * sizeof(*values)},
    };
    size_t size;
    uint8_t *data = archive_build(records, 2, &size);
    char *folder = scratch_folder(), *path = scratch_path(folder, "model.pt");
    struct weights *weights;
    scratch_write(folder, "model.pt", data, size);
    if (weights_open(path, &weights))
        fail_msg("%s", vkclip_last_error());
    for (int read = 0; read < 2; read++) {
        assert_int_equal(weights_read(weights, "visual.proj", 0, SIDE, found), 0);
        for (int i = 0; i < SIDE * SIDE; i++)
            assert_true(found[i] == values[i % SIDE * SIDE + i / SIDE]);
    }
    weights_close(&weights);
    scratch_remove(folder);
    free(path), free(data), free(values), free(found);
}

/* ---- Hostile pickles ------------------------------------------------------------------------- */

static const struct bad {
    const char *pickle;
    size_t size;
    int error;
    const char *message;
} bad_pickles[] = {
#define B(pickle) pickle, sizeof(pickle) - 1, VKCLIP_EFORMAT
    {B(PICKLE("cos\nsystem\n(X\x02\0\0\0idtR")), "x.pt: pickle asks for os.system: refused"},
    {B(PICKLE("c__builtin__\neval\n(X\x01\0\0\0"
              "1tR")),
     "asks for __builtin__.eval: refused"},
    {B(PICKLE("cbuiltins\nexec\n)R")), "asks for builtins.exec: refused, a checkpoint holds only"},
    {B("\x80\x04" STR("\x05", "posix") STR("\x06", "system") "\x93" STR("\x02", "id") "\x85R."),
     "asks for posix.system: refused"},
    {B(PICKLE("csubprocess\nPopen\n)R")), "asks for subprocess.Popen: refused"},
    {B(PICKLE("ctorch.storage\n_load_from_bytes\n)R")), "torch.storage._load_from_bytes: refused"},
    {B(PICKLE("ctorch.hub\nload\n)R")), "asks for torch.hub.load: refused"},
    {B(PICKLE("ctorch\nComplexFloatStorage\n")), "asks for torch.ComplexFloatStorage: refused"},
    {B(PICKLE("c__torch__evil\nsystem\n)\x81")), "asks for __torch__evil.system: refused"},
    {B(PICKLE("ccollections\nOrderedDict.fromkeys\n")),
     "collections.OrderedDict.fromkeys: refused"},
    {B(PICKLE("ccollections.OrderedDict\n\n)R")), "asks for collections.OrderedDict.: refused"},
    {B("\x80\x02\x63two\x1b[2Jlines\nx\n."), "asks for two?[2Jlines.x: refused"},
    {B(PICKLE("c__torch__.Net\nNet\n(K\x01tR")), "calls __torch__ with 1 arguments"},
    {B(PICKLE("c__torch__.Net\nNet\n(K\x01t\x81")), "NEWOBJ of something other"},
    {B(PICKLE("ccollections\nOrderedDict\n)\x81")), "NEWOBJ of something other"},
    {B(PICKLE("ctorch\nFloatStorage\n)R")), "calls torch.FloatStorage with 0 arguments"},
    {B(PICKLE("ccollections\nOrderedDict\n(]tR")), "calls collections.OrderedDict with 1"},
    {B(PICKLE("ctorch\nSize\n)R")), "calls torch.Size with 0 arguments"},
    {B(PICKLE(REBUILD ")R")), "calls torch._utils._rebuild_tensor_v2 with 0 arguments"},
    {B(PICKLE(REBUILD "(K\x01K\x00))tR")), "_rebuild_tensor_v2 with 4 arguments"},
    {B(PICKLE("K\x01)R")), "REDUCE without a global"},
    {B(PICKLE("R")), "REDUCE without a global"},
    {B(PICKLE("}}b}b]}b")), "BUILD of something other than a new TorchScript object"},
    {B(PICKLE("b")), "BUILD without an object"},
    {B(PICKLE("(STOP\nios\nsystem\n")), "opcode STRING (0x53): refused"},
    {B("\x80\x02(ios\nsystem\n."), "opcode INST (0x69): refused"},
    {B("\x80\x02(os\nsystem\no."), "opcode OBJ (0x6f): refused"},
    {B("\x80\x02\x82\x01."), "opcode EXT1 (0x82): refused"},
    {B("\x80\x02P1\n."), "opcode PERSID (0x50): refused"},
    {B("\x80\x04\x8f."), "opcode EMPTY_SET (0x8f): refused"},
    {B("\x80\x02}\x32."), "opcode DUP (0x32): refused"},
    {B("\x80\x02}0."), "opcode POP (0x30): refused"},
    {B("\x80\x02\xff."), "opcode unknown (0xff): refused"},
    {"\x80\x05}.", 4, VKCLIP_EUNSUPPORTED, "pickle protocol 5, expected 2 to 4"},
    {"\x80\x01}.", 4, VKCLIP_EUNSUPPORTED, "pickle protocol 1"},
    {B(PICKLE("\x8b\xff\xff\xff\x7f")), "an integer of 2147483647 bytes, expected at most 8"},
    {B(PICKLE("\x8a\x09"
              "123456789")),
     "an integer of 9 bytes"},
    {B(PICKLE("X\xff\xff\xff\xff")), "expected 4294967295 bytes more, found 1 (truncated?)"},
    {B("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "expected 18446744073709551615 bytes"},
    {B(PICKLE("B\xff\xff\xff\x7f")), "expected 2147483647 bytes more"},
    {B(PICKLE("\x8c\x05"
              "a")),
     "expected 5 bytes more, found 2"},
    {B("\x80\x02"
       "cos"),
     "a global's name without its end"},
    {B("\x80"), "expected 1 bytes more, found 0"},
    {B("\x80\x02}"), "expected 1 bytes more, found 0 (truncated?)"},
    {B(""), "expected 1 bytes more, found 0"},
    {B("\x80\x02."), "STOP without exactly one value"},
    {B("\x80\x02}}."), "STOP without exactly one value"},
    {B("\x80\x02(}."), "STOP without exactly one value"},
    {B(PICKLE("u")), "no mark"},
    {B(PICKLE("(K\x01u")), "items without a list or dict"},
    {B(PICKLE("}(K\x01u")), "expected a dict and pairs"},
    {B(PICKLE("K\x01(K\x01K\x02u")), "expected a dict and pairs"},
    {B(PICKLE(")(K\x01"
              "e")),
     "expected a list"},
    {B(PICKLE("}(a")), "items without a list"},
    {B(PICKLE("K\x01(\x85t")), "a tuple of more values than there are"},
    {B(PICKLE("q\x00")), "nothing to remember"},
    {B(PICKLE("}h\x00")), "a memo entry that does not exist"},
    {B(PICKLE("}r\xff\xff\xff\xff")), "memo entry 4294967295, expected 0"},
    {B(PICKLE("}q\x00q\x02")), "memo entry 2, expected 1"},
    {B(PICKLE("Q")), "a persistent id that is not a storage"},
    {B(PICKLE("K\x01Q")), "a persistent id that is not a storage"},
    {B(PICKLE("(" STR("\x06", "module") FLOATS W W "K\x01tQ")), "that is not a storage"},
    {B(PICKLE("(" STR("\x07", "storage") "ctorch\nSize\n" W W "K\x01tQ")), "not a storage"},
    /* These tensors do not fit into their storage or into the file. */
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x0d"), FOUR, ONE)))),
     "x.pt: w: elements 13 to 17 of a storage of 16: out of range"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", FOUR, ONE)))),
     "out of range"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), "K\x11\x85", ONE)))), "elements 0 to 17"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, "J\xff\xff\xff\xff", FOUR, ONE)))), "none of them negative"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), "J\xff\xff\xff\xff\x85", ONE)))), "negative"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x0f"), FOUR, "J\xff\xff\xff\xff\x85")))), "negative"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), FOUR, ")")))), "as many strides"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t",
                            "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t")))),
     "up to 8 sizes"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), "NN\x86", "K\x01K\x01\x86")))), "that the file"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), "J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86",
                            "K\x00K\x00\x86")))),
     "that the file can hold"},
    {B(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), "K\x02K\x02\x86",
                            "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x01\x86")))),
     "that the file can hold"},
    {PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), "K\xf0\x85", "K\x00\x85"))),
     sizeof(PICKLE(DICT(W TENSOR(SIXTEEN, INT("\x00"), "K\xf0\x85", "K\x00\x85")))) - 1,
     VKCLIP_EUNSUPPORTED, "w: strided tensors that repeat more than the file holds"},
    {B(PICKLE(DICT(W TENSOR(STORAGE(FLOATS, "0", INT("\x11")), INT("\x00"), FOUR, ONE)))),
     "w: a storage of 17 elements of 4 bytes, found 64 bytes in its record x/data/0"},
    {B(PICKLE(DICT(W TENSOR(STORAGE(FLOATS, "0", "J\xff\xff\xff\xff"), INT("\x00"), FOUR, ONE)))),
     "a storage of -1 elements"},
    {B(PICKLE(DICT(W TENSOR(STORAGE(FLOATS, "0", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
                            INT("\x00"), FOUR, ONE)))),
     "a storage of 9223372036854775807 elements"},
    {B(PICKLE(DICT(W TENSOR(STORAGE(FLOATS, "1", INT("\x04")), INT("\x00"), FOUR, ONE)))),
     "w: its record x/data/1 is missing"},
    {B(PICKLE(DICT(
         W TENSOR(STORAGE("ctorch\nDoubleStorage\n", "0", INT("\x10")), INT("\x00"), FOUR, ONE)))),
     "16 elements of 8 bytes"},
    {B(PICKLE(DICT(W GOOD_W W GOOD_W))), "x.pt: w occurs twice"},
    {B(PICKLE(DICT(STR("\x03", "a.w") GOOD_W STR("\x01", "a") DICT(W GOOD_W)))),
     "x.pt: a.w occurs twice"},
    {B(PICKLE("ctorch.optim.adamw\nAdamW\n)}R")), "REDUCE without a global"},
    {B(PICKLE("cos\ndevice\n)R")), "asks for os.device: refused"},
    {B(PICKLE("cnumpyx\nload\n)R")), "asks for numpyx.load: refused"},
    {B(PICKLE(DICT(STR("\x00", "") GOOD_W))), "names of 1 to 512 bytes"},
    {B(PICKLE(DICT(STR("\x02", "w\0") GOOD_W))), "without NUL"},
    /* This module contains itself. */
    {B(PICKLE("c__torch__\nNet\n)\x81q\x00}" W "h\x00sb")), "dicts nested deeper than 64"},
#undef B
#define U(pickle) pickle, sizeof(pickle) - 1, VKCLIP_EUNSUPPORTED
    {U(PICKLE("}")), "x.pt: holds no named tensors, expected a state dict"},
    {U(PICKLE("N")), "holds no named tensors"},
    {U(PICKLE(GOOD_W)), "holds no named tensors"},
    {U(PICKLE("]" GOOD_W "a")), "holds no named tensors"},
    {U(PICKLE(DICT(INT("\x01") GOOD_W))), "holds no named tensors"},
    {U(PICKLE("c__torch__\nNet\n)\x81")), "holds no named tensors"},
#undef U
};

static void refuses_pickles(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_pickles); i++) {
        const struct bad *bad = &bad_pickles[i];
        struct torch_pt *file;
        size_t size;
        uint8_t *data = wrap(bad->pickle, bad->size, &size);
        assert_failed(torch_pt_parse(data, size, "x.pt", &file), bad->error, bad->message);
        assert_null(file);
        free(data);
    }
}

/* Checks that a pickle is refused that repeats `word` `count` times between a beginning and an end.
 */
static void refuse_repeated(const char *begin, size_t begin_size, const char *word, size_t count,
                            const char *end, const char *message)
{
    size_t length = strlen(word), all = begin_size + count * length + strlen(end), size;
    char *pickle = malloc(all + 1), *next = pickle + begin_size;
    struct torch_pt *file;
    memcpy(pickle, begin, begin_size);
    for (size_t i = 0; i < count; i++, next += length)
        memcpy(next, word, length);
    memcpy(next, end, strlen(end));
    uint8_t *data = wrap(pickle, all, &size);
    assert_failed(torch_pt_parse(data, size, "x.pt", &file), VKCLIP_EFORMAT, message);
    free(data);
    free(pickle);
}

static void refuses_bombs(void **state)
{
    (void)state;
    refuse_repeated("\x80\x02", 2, "]", 100000, ".", "needs a stack above 65536");
    refuse_repeated("\x80\x02", 2, "(", 100000, ".", "more marks than values");
    refuse_repeated("\x80\x02]q\x00", 5, "(", 40000, ".", "STOP without exactly one value");
    refuse_repeated("\x80\x02]", 3, "]a", 3000000, ".", "pickle of more than 1048576 values");
    refuse_repeated("\x80\x04}", 3, "\x94", 2000000, ".", "memo entry 1048576, expected");
    refuse_repeated("\x80\x02}", 3, "N", 9u << 20, ".", "expected at most 8388608");
    /* Each module contains the previous one twice, which makes 2^25 paths to the first. */
    static const char leaf[] = STR("\x01", "k") "c__torch__\nNet\n)\x81}"
                                                "b";
    static const char level[] =
        STR("\x01", "k") "c__torch__\nNet\n)\x81}(" STR("\x01", "a") "h?" STR("\x01", "b") "h?"
                                                                                           "ub";
    char pickle[2048] = "\x80\x02}(", *next = pickle + 4;
    for (char i = 0; i <= 25; i++) {
        const char *word = i ? level : leaf;
        for (; *word; word++)
            *next++ = *word == '?' ? (char)(i - 1) : *word;
        *next++ = 'q', *next++ = i;
    }
    *next++ = 'u', *next++ = '.';
    struct torch_pt *file;
    size_t size;
    uint8_t *data = wrap(pickle, (size_t)(next - pickle), &size);
    assert_failed(torch_pt_parse(data, size, "x.pt", &file), VKCLIP_EFORMAT,
                  "more than 1048576 values in its dicts");
    free(data);
}

/* ---- Hostile archives ------------------------------------------------------------------------ */

static const char good[] = PICKLE(DICT(W GOOD_W));
#define PKL                                  \
    {                                        \
        "x/data.pkl", good, sizeof(good) - 1 \
    }
#define DATA "x/data/0", sixteen, sizeof(sixteen)

static const struct bad_archive {
    struct archive_record records[4];
    int error;
    const char *message;
} bad_archives[] = {
    {{PKL, {DATA}, {"../../etc/passwd", "x", 1}}, VKCLIP_EFORMAT, "../../etc/passwd: refused by"},
    {{PKL, {DATA}, {"x/../y", "x", 1}}, VKCLIP_EFORMAT, "record x/../y: refused by its name"},
    {{PKL, {DATA}, {"x/..", "x", 1}}, VKCLIP_EFORMAT, "record x/..: refused by its name"},
    {{PKL, {DATA}, {"/x", "x", 1}}, VKCLIP_EFORMAT, "record /x: refused by its name"},
    {{PKL, {DATA}, {"x\\y", "x", 1}}, VKCLIP_EFORMAT, "record x\\y: refused by its name"},
    {{PKL, {DATA}, {DATA}}, VKCLIP_EFORMAT, "record x/data/0 occurs twice"},
    {{PKL, {DATA}, PKL}, VKCLIP_EFORMAT, "record x/data.pkl occurs twice"},
    {{PKL, {DATA}, {"y/data.pkl", "}.", 2}}, VKCLIP_EFORMAT, "expected one data.pkl"},
    {{{DATA}}, VKCLIP_EUNSUPPORTED, "a zip archive without data.pkl: not a PyTorch checkpoint"},
    {{{"x/model.json", "{}", 2}}, VKCLIP_EUNSUPPORTED, "TorchScript of PyTorch before 1.4"},
    {{PKL, {DATA}, {"x/byteorder", "big", 3}}, VKCLIP_EUNSUPPORTED, "byteorder: expected little"},
    {{PKL}, VKCLIP_EFORMAT, "w: its record x/data/0 is missing"},
    {{PKL, {"x/data/0", "", 0}}, VKCLIP_EFORMAT, "16 elements of 4 bytes, found 0 bytes"},
    /* These archives claim four gigabytes, so that inflating them would exhaust the memory. */
    {{{"x/data.pkl", "xxxx", 4, 0xfffffff0, 8}, {DATA}},
     VKCLIP_EUNSUPPORTED,
     "record x/data.pkl is compressed or encrypted: refused"},
    {{PKL, {"x/data/0", "xxxx", 4, 0xfffffff0, 8}},
     VKCLIP_EUNSUPPORTED,
     "record x/data/0 is compressed or encrypted"},
    {{PKL, {DATA, 0, 0, 1}}, VKCLIP_EUNSUPPORTED, "record x/data/0 is compressed or encrypted"},
    {{PKL, {DATA, 0xfffffff0}}, VKCLIP_EFORMAT, "its 4294967280 bytes are not in the file"},
    {{PKL, {DATA, 0x400}}, VKCLIP_EFORMAT, "its 1024 bytes are not in the file"},
    /* The storage shares its bytes with the pickle. */
    {{{"x/data.pkl", good, sizeof(good) - 1}, {"x/data/0", good, 64, 0, 0, 0, 1}},
     VKCLIP_EFORMAT,
     "records x/data.pkl and x/data/0 overlap"},
};

static void refuses_archives(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_archives); i++) {
        const struct bad_archive *bad = &bad_archives[i];
        struct torch_pt *file;
        size_t size, count = 0;
        while (count < ARRAY_COUNT(bad->records) && bad->records[count].name)
            count++;
        uint8_t *data = archive_build(bad->records, count, &size);
        assert_failed(torch_pt_parse(data, size, "x.pt", &file), bad->error, bad->message);
        assert_null(file);
        free(data);
    }
}

static void refuses_truncated_archives(void **state)
{
    (void)state;
    struct torch_pt *file;
    size_t size;
    uint8_t *data = wrap(good, sizeof(good) - 1, &size);
    assert_int_equal(torch_pt_parse(data, size, "whole", &file), 0);
    torch_pt_close(&file);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1);
        memcpy(copy, data, cut);
        assert_failed(torch_pt_parse(copy, cut, "cut", &file), VKCLIP_EFORMAT, "cut: ");
        free(copy);
    }
    /* A file with one damaged byte may be refused or accepted, but nothing past its end is read. */
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 0xff;
        if (!torch_pt_parse(data, size, "damaged", &file))
            torch_pt_close(&file);
        data[i] ^= 0xff;
    }
    free(data);
}

static void refuses_other_forms(void **state)
{
    (void)state;
    static const uint8_t legacy[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                     0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
    static uint8_t tar[512] = "storages";
    char *folder = scratch_folder(), *path = scratch_path(folder, "model.pt");
    char *other = scratch_path(folder, "model.data");
    struct weights *weights;
    memcpy(tar + 257, "ustar", 5);
    scratch_write(folder, "model.pt", legacy, sizeof(legacy));
    assert_failed(weights_open(path, &weights), VKCLIP_EUNSUPPORTED, "format from before 1.6");
    scratch_write(folder, "model.data", legacy, sizeof(legacy));
    assert_failed(weights_open(other, &weights), VKCLIP_EUNSUPPORTED, "format from before 1.6");
    scratch_write(folder, "model.pt", tar, sizeof(tar));
    assert_failed(weights_open(path, &weights), VKCLIP_EUNSUPPORTED, "format from before 1.6");
    scratch_write(folder, "model.pt", "\x80\x02}.", 4);
    assert_failed(weights_open(path, &weights), VKCLIP_EUNSUPPORTED, "a pickle without an archive");
    scratch_text(folder, "model.pt", "version https://git-lfs.github.com/spec/v1");
    assert_failed(weights_open(path, &weights), VKCLIP_EFORMAT,
                  "expected weights, found a pointer of Git LFS: 'git lfs");
    scratch_text(folder, "model.pt", "");
    assert_failed(weights_open(path, &weights), VKCLIP_EFORMAT, "model.pt: is empty");
    scratch_text(folder, "model.pt", "<!DOCTYPE html>");
    assert_failed(weights_open(path, &weights), VKCLIP_EFORMAT, "found a web page");
    /* The file's content decides its format, and not its name. */
    char *golden = golden_path("models/hf-vit/model.safetensors");
    char *safetensors = file_resolve(golden);
    file_remove(path);
    scratch_link(safetensors, path);
    assert_int_equal(weights_open(path, &weights), 0);
    weights_close(&weights);
    free(golden), free(safetensors), free(path), free(other);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_as_safetensors),
        cmocka_unit_test(reads_halves),
        cmocka_unit_test(opens_folders),
        cmocka_unit_test(reads_every_form),
        cmocka_unit_test(keeps_copies),
        cmocka_unit_test(refuses_pickles),
        cmocka_unit_test(refuses_bombs),
        cmocka_unit_test(refuses_archives),
        cmocka_unit_test(refuses_truncated_archives),
        cmocka_unit_test(refuses_other_forms),
    };
    return cmocka_run_group_tests(tests, fill_sixteen, NULL);
}
