/* SPDX-License-Identifier: MIT
 *
 * Decodes JPEG XL with libjxl: a still picture, or the first frame of an animation. Samples become
 * 8 bits; colours that the file stores independently of a colour space become sRGB, all others stay
 * as they are stored. libjxl applies the orientation itself. CMYK pictures are refused.
 */
#include "base/error.h"
#include "base/memory.h"
#include "base/mute.h"
#include "image/reader.h"

#include <jxl/decode.h>
#include <stddef.h>
#include <string.h>

/* The decoder's work needs up to some tens of bytes per pixel, for floats of all channels and of
 * its filters. Its memory is limited to what a picture of the claimed size may need, because the
 * sizes of hidden frames and channels come from the file too. */
#define BYTES_PER_PIXEL 256
#define BYTES_AT_LEAST ((size_t)64 << 20)

struct memory {
    size_t used, limit;
    bool exceeded;
};

/* This header precedes each block of memory, and keeps the block aligned for every type: to 16
 * bytes, as malloc does. Visual Studio has no max_align_t in C. */
struct block {
    _Alignas(16) size_t size;
};

static void *take_memory(void *opaque, size_t size)
{
    struct memory *memory = opaque;
    if (memory->used > memory->limit || size > memory->limit - memory->used) {
        memory->exceeded = true;
        return NULL;
    }
    struct block *block = memory_alloc(sizeof(*block) + size);
    if (!block)
        return NULL;
    block->size = size;
    memory->used += size;
    return block + 1;
}

static void release_memory(void *opaque, void *address)
{
    struct memory *memory = opaque;
    if (!address)
        return;
    struct block *block = (struct block *)address - 1;
    memory->used -= block->size;
    memory_free(block);
}

/* Finds the Exif box, which only a file with boxes has; such a file begins with the length of the
 * first one. Compressed boxes are left out. */
static void find_exif(struct image_file *file)
{
    for (size_t offset = 0; file->data[0] == 0 && file->size - offset >= 8;) {
        const uint8_t *box = file->data + offset;
        uint64_t size = be32(box), header = 8;
        if (size == 1 && file->size - offset >= 16) {
            size = (uint64_t)be32(box + 8) << 32 | be32(box + 12);
            header = 16;
        } else if (size == 0) { /* The last box ends with the file. */
            size = file->size - offset;
        }
        if (size < header || size > file->size - offset)
            return;
        if (!memcmp(box + 4, "Exif", 4) &&
            reader_set_exif_block(file, box + header, (size_t)(size - header)))
            return;
        offset += (size_t)size;
    }
}

static int claim_basic_info(struct image_file *file, JxlDecoder *decoder, struct memory *memory)
{
    JxlBasicInfo info;
    if (JxlDecoderGetBasicInfo(decoder, &info) != JXL_DEC_SUCCESS)
        return reader_corrupt(file, "its header cannot be read");
    int error = reader_claim_size(file, info.xsize, info.ysize);
    if (error)
        return error;
    for (uint32_t i = 0; i < info.num_extra_channels; i++) {
        JxlExtraChannelInfo extra;
        if (JxlDecoderGetExtraChannelInfo(decoder, i, &extra) == JXL_DEC_SUCCESS &&
            extra.type == JXL_CHANNEL_BLACK)
            return reader_unsupported(file, "CMYK, expected grey or RGB");
    }
    file->channels = info.num_color_channels + (info.alpha_bits ? 1 : 0);
    file->oriented = true;
    memory->limit = BYTES_AT_LEAST + (size_t)file->width * file->height * BYTES_PER_PIXEL;
    return VKCLIP_OK;
}

/* Asks for sRGB, which libjxl can give only of colours that are not stored in a colour space of
 * their own. */
static void prefer_srgb(const struct image_file *file, JxlDecoder *decoder)
{
    JxlColorEncoding srgb = {.color_space =
                                 file->channels < 3 ? JXL_COLOR_SPACE_GRAY : JXL_COLOR_SPACE_RGB,
                             .white_point = JXL_WHITE_POINT_D65,
                             .primaries = JXL_PRIMARIES_SRGB,
                             .transfer_function = JXL_TRANSFER_FUNCTION_SRGB,
                             .rendering_intent = JXL_RENDERING_INTENT_PERCEPTUAL};
    JxlDecoderSetPreferredColorProfile(decoder, &srgb);
}

/* Gives the memory of the pixels whenever libjxl asks for it, since it would ask for ever if it
 * asked a second time and got nothing. */
static int give_pixels(struct image_file *file, JxlDecoder *decoder, uint8_t **pixels)
{
    const JxlPixelFormat format = {file->channels, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
    size_t size = (size_t)file->width * file->height * file->channels, wanted;
    if (JxlDecoderImageOutBufferSize(decoder, &format, &wanted) != JXL_DEC_SUCCESS ||
        wanted != size)
        return reader_corrupt(file, "its first frame is of another size than its header says");
    if (!*pixels)
        *pixels = memory_alloc(size);
    if (!*pixels)
        return reader_no_memory(file);
    if (JxlDecoderSetImageOutBuffer(decoder, &format, *pixels, size) != JXL_DEC_SUCCESS)
        return reader_corrupt(file, "its first frame cannot be decoded");
    return VKCLIP_OK;
}

static int decode_first(struct image_file *file, JxlDecoder *decoder, struct memory *memory,
                        uint8_t **pixels)
{
    int error = VKCLIP_OK;
    while (!error) {
        mute_set(true);
        JxlDecoderStatus status = JxlDecoderProcessInput(decoder);
        mute_set(false);
        switch (status) {
        case JXL_DEC_BASIC_INFO:
            error = claim_basic_info(file, decoder, memory);
            break;
        case JXL_DEC_COLOR_ENCODING:
            prefer_srgb(file, decoder);
            break;
        case JXL_DEC_NEED_IMAGE_OUT_BUFFER:
            error = give_pixels(file, decoder, pixels);
            break;
        case JXL_DEC_FULL_IMAGE:
            return VKCLIP_OK;
        case JXL_DEC_NEED_MORE_INPUT:
            return reader_truncated(file, (uint64_t)file->size + 1);
        case JXL_DEC_SUCCESS:
            return reader_corrupt(file, "it has no frame");
        default:
            return reader_corrupt(file, memory->exceeded
                                            ? "its first frame needs more memory than its pixels"
                                            : "its first frame cannot be decoded");
        }
    }
    return error;
}

int image_jxl_decode(struct image_file *file, uint8_t **pixels)
{
    struct memory memory = {.limit = BYTES_AT_LEAST};
    const JxlMemoryManager manager = {&memory, take_memory, release_memory};
    JxlDecoder *decoder = JxlDecoderCreate(&manager);
    int error;
    if (!decoder)
        return reader_no_memory(file);
    if (JxlDecoderSubscribeEvents(decoder, JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING |
                                               JXL_DEC_FULL_IMAGE) != JXL_DEC_SUCCESS ||
        JxlDecoderSetUnpremultiplyAlpha(decoder, JXL_TRUE) != JXL_DEC_SUCCESS ||
        JxlDecoderSetInput(decoder, file->data, file->size) != JXL_DEC_SUCCESS) {
        error = reader_unsupported(file, "libjxl is of another version than its headers");
    } else {
        find_exif(file);
        error = decode_first(file, decoder, &memory, pixels);
    }
    JxlDecoderDestroy(decoder);
    return error;
}
