/* SPDX-License-Identifier: MIT
 *
 * Decodes WebP with libwebp, which Pillow uses too: a still picture, or the first frame of an
 * animation on its canvas. What the frame leaves of the canvas stays transparent, or black if the
 * file has no alpha. Later frames are not read.
 */
#include "base/error.h"
#include "base/memory.h"
#include "image/reader.h"

#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

static int fail_status(const struct image_file *file, VP8StatusCode status)
{
    if (status == VP8_STATUS_OUT_OF_MEMORY)
        return reader_no_memory(file);
    return reader_corrupt(file, "the data of its first frame cannot be decoded");
}

/* Decodes a frame into the canvas, whose pixels are zero before. */
static int decode_frame(const struct image_file *file, const WebPIterator *frame, uint8_t *pixels)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return reader_unsupported(file, "libwebp is of another version than its headers");
    size_t stride = (size_t)file->width * file->channels;
    size_t offset = (size_t)frame->y_offset * stride + (size_t)frame->x_offset * file->channels;
    config.output.colorspace = file->channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = pixels + offset;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = stride * file->height - offset;
    VP8StatusCode status = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
    return status == VP8_STATUS_OK ? VKCLIP_OK : fail_status(file, status);
}

static void find_exif(struct image_file *file, const WebPDemuxer *demuxer)
{
    WebPChunkIterator chunk;
    if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
        reader_set_exif(file, chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
}

static int decode_first(struct image_file *file, const WebPDemuxer *demuxer, uint8_t **pixels)
{
    WebPIterator frame;
    WebPBitstreamFeatures features;
    int error = reader_claim_size(file, WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH),
                                  WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT));
    if (error)
        return error;
    VP8StatusCode status = WebPGetFeatures(file->data, file->size, &features);
    if (status != VP8_STATUS_OK)
        return fail_status(file, status);
    if (!WebPDemuxGetFrame(demuxer, 1, &frame))
        return reader_corrupt(file, "it has no frame");
    find_exif(file, demuxer);
    file->channels = features.has_alpha ? 4 : 3;
    *pixels = memory_calloc((size_t)file->width * file->height, file->channels);
    error = *pixels ? decode_frame(file, &frame, *pixels) : reader_no_memory(file);
    WebPDemuxReleaseIterator(&frame);
    return error;
}

int image_webp_decode(struct image_file *file, uint8_t **pixels)
{
    uint64_t expected = 8 + (uint64_t)le32(file->data + 4);
    if (expected > file->size)
        return reader_truncated(file, expected);
    WebPData data = {file->data, file->size};
    WebPDemuxer *demuxer = WebPDemux(&data);
    if (!demuxer)
        return reader_corrupt(file, "its chunks do not form a picture");
    int error = decode_first(file, demuxer, pixels);
    WebPDemuxDelete(demuxer);
    return error;
}
