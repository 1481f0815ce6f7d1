/* SPDX-License-Identifier: MIT
 *
 * ViT and the text transformer (paper, section 2.4; clip/model.py) as lists of nodes.
 */
#include "model/tower.h"
#include "base/array.h"

#include <stdio.h>
#include <string.h>

static int vector(struct graph *graph, uint32_t length, const char *name)
{
    return graph_weight(graph, name, LAYOUT_ROWS, 1, &length);
}

/* "PREFIX" + "NAME" + ".weight" and ".bias" */
static int layernorm(struct graph *graph, const char *result, const char *prefix, const char *name,
                     int x, const struct config_tower *tower)
{
    char gain[64], bias[64];
    snprintf(gain, sizeof(gain), "%s%s.weight", prefix, name);
    snprintf(bias, sizeof(bias), "%s%s.bias", prefix, name);
    int g = vector(graph, tower->width, gain);
    return graph_layernorm(graph, result, x, g, vector(graph, tower->width, bias), tower->epsilon);
}

static int linear(struct graph *graph, const char *result, const char *prefix, const char *name,
                  int x, const uint32_t shape[2], enum vkclip_activation activation, int residual)
{
    /* in_proj is a parameter of attention itself: in_proj_weight, not in_proj.weight */
    const char *separator = strstr(name, "in_proj") ? "_" : ".";
    char weight[64], bias[64];
    snprintf(weight, sizeof(weight), "%s%s%sweight", prefix, name, separator);
    snprintf(bias, sizeof(bias), "%s%s%sbias", prefix, name, separator);
    int w = graph_weight(graph, weight, LAYOUT_PANELS, 2, shape);
    return graph_matmul(graph, result, x, w, vector(graph, shape[0], bias), activation, residual);
}

/* clip/model.py, ResidualAttentionBlock: x += attention(ln_1(x)); x += mlp(ln_2(x)) */
static int block(struct graph *graph, const char *result, const char *prefix, int x, bool causal,
                 const struct config_tower *tower)
{
    const uint32_t width = tower->width, qkv[] = {3 * width, width}, out[] = {width, width},
                   fc[] = {tower->mlp, width}, proj[] = {width, tower->mlp};
    const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;
    int y = layernorm(graph, NULL, prefix, "ln_1", x, tower);
    y = linear(graph, NULL, prefix, "attn.in_proj", y, qkv, none, -1);
    y = graph_attention(graph, NULL, y, tower->heads, causal);
    x = linear(graph, NULL, prefix, "attn.out_proj", y, out, none, x);
    y = layernorm(graph, NULL, prefix, "ln_2", x, tower);
    y = linear(graph, NULL, prefix, "mlp.c_fc", y, fc, tower->activation, -1);
    return linear(graph, result, prefix, "mlp.c_proj", y, proj, none, x);
}

/* All blocks; their results are called STEM.hidden.1 and so on. */
static int transformer(struct graph *graph, const char *stem, const char *prefix, int x,
                       bool causal, const struct config_tower *tower)
{
    for (uint32_t i = 0; i < tower->layers; i++) {
        char result[64], block_prefix[64];
        snprintf(result, sizeof(result), "%s.hidden.%u", stem, i + 1);
        snprintf(block_prefix, sizeof(block_prefix), "%stransformer.resblocks.%u.", prefix, i);
        graph_begin_segment(graph);
        x = block(graph, result, block_prefix, x, causal, tower);
    }
    graph_end_segment(graph);
    return x;
}

/* Pooled tokens to the shared space, where the checkpoint has it, and to length one. */
static int embed(struct graph *graph, const char *stem, const char *projection, int pooled,
                 const struct config_tower *tower, uint32_t embed_dim)
{
    char projected[64], normalized[64];
    snprintf(projected, sizeof(projected), "%s.projected", stem);
    snprintf(normalized, sizeof(normalized), "%s.normalized", stem);
    if (tower->projection) {
        const uint32_t shape[] = {tower->width, embed_dim};
        int w = graph_weight(graph, projection, LAYOUT_PANELS_KN, 2, shape);
        pooled = graph_matmul(graph, projected, pooled, w, -1, VKCLIP_ACTIVATION_AUTO, -1);
    }
    return graph_normalize(graph, normalized, pooled);
}

static int finish(struct graph *graph)
{
    int error = graph->error;
    if (error)
        graph_free(graph);
    return error;
}

static int vit(const struct config *config, uint32_t batch, struct graph *graph)
{
    const struct config_tower *tower = &config->image;
    const uint32_t side = config->image_size / config->patch_size, width = tower->width;
    const uint32_t pixels = 3 * config->patch_size * config->patch_size;
    const uint32_t input[] = {batch, side * side, pixels}, conv[] = {width, pixels};
    const uint32_t positions[] = {side * side + 1, width};
    int x = graph_input(graph, "image", graph->type, 3, input);
    int w = graph_weight(graph, "visual.conv1.weight", LAYOUT_PANELS, 2, conv);
    /* patches do not overlap, so their convolution is a matmul */
    x = graph_matmul(graph, "vision.patch_embed", x, w, -1, VKCLIP_ACTIVATION_AUTO, -1);
    int token = vector(graph, width, "visual.class_embedding");
    int position = graph_weight(graph, "visual.positional_embedding", LAYOUT_ROWS, 2, positions);
    x = graph_classtoken(graph, "vision.embeddings", x, token, position);
    x = layernorm(graph, "vision.hidden.0", "visual.", "ln_pre", x, tower);
    x = transformer(graph, "vision", "visual.", x, false, tower);
    x = graph_select(graph, NULL, x, -1);
    x = layernorm(graph, "vision.pooled", "visual.", "ln_post", x, tower);
    return embed(graph, "vision", "visual.proj", x, tower, config->image_embed_dim);
}

/* ---- ModifiedResNet -------------------------------------------------------------------------- */

#define NORM_EPSILON 1e-5f

/* Batch norm in training: by the batch's statistics, which the running ones then follow, or by
 * these. */
static int batchnorm(struct graph *graph, const char *name, int x, int residual, bool relu)
{
    static const char *const parts[] = {"running_mean", "running_var", "weight", "bias"};
    if (graph->error)
        return -1;
    uint32_t c = tensor_columns(&graph->tensors[x]), n = tensor_rows(&graph->tensors[x]);
    int of[ARRAY_COUNT(parts)];
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        char part[96];
        snprintf(part, sizeof(part), "%s.%s", name, parts[i]);
        of[i] = i < 2 || graph->frozen ? graph_state(graph, part, LAYOUT_ROWS, 1, &c)
                                       : vector(graph, c, part);
        if (i < 2 && of[i] >= 0)
            graph->tensors[of[i]].locked = true;
    }
    int stats = graph->frozen ? graph_runningstats(graph, of[0], of[1], of[2], of[3], NORM_EPSILON)
                              : graph_batchstats(graph, x, of[2], of[3], NORM_EPSILON);
    x = graph_batchnorm(graph, NULL, x, stats, residual, relu);
    for (uint32_t i = 0; i < 2 && !graph->frozen; i++) {
        struct node node = {.op = OP_RUNNING,
                            .in = {stats, -1, -1},
                            .residual = true,
                            .running = {.variance = i == 1,
                                        .epsilon = NORM_EPSILON,
                                        .momentum = 0.1f,
                                        .unbias = n > 1 ? (float)n / (float)(n - 1) : 1}};
        graph_append_into(graph, node, of[i]);
    }
    return x;
}

/* "PREFIXconvN", then "PREFIXbnN", which is folded in but in training; downsample is numbered 0 and
 * 1. `size` 1 or 3. */
static int conv(struct graph *graph, const char *prefix, const char *name, const char *norm, int x,
                const uint32_t shape[2], uint32_t size, uint32_t stride, int residual, bool relu)
{
    char weight[64], folded[64], bias_name[80];
    snprintf(weight, sizeof(weight), "%s%s.weight", prefix, name);
    snprintf(folded, sizeof(folded), "%s%s", prefix, norm);
    snprintf(bias_name, sizeof(bias_name), "%s.bias", folded);
    const uint32_t taps[] = {shape[0], 9, shape[1]};
    int w = size == 1 ? graph_weight(graph, weight, LAYOUT_PANELS, 2, shape)
                      : graph_weight(graph, weight, LAYOUT_CONV, 3, taps);
    int bias = graph->training ? -1 : vector(graph, shape[0], bias_name);
    int before = graph->training ? -1 : residual;
    x = size == 1 ? graph_matmul(graph, NULL, x, w, bias, VKCLIP_ACTIVATION_AUTO, before)
                  : graph_conv(graph, NULL, x, w, bias, stride);
    if (graph->training)
        return batchnorm(graph, folded, x, residual, relu);
    graph_fold(graph, w, folded);
    graph_fold(graph, bias, folded);
    if (relu)
        graph_relu(graph, x);
    return x;
}

/* clip/model.py, Bottleneck: the stride is an average pool behind the second convolution. */
static int bottleneck(struct graph *graph, const char *prefix, int x, uint32_t in, uint32_t planes,
                      uint32_t stride, bool downsample)
{
    const uint32_t first[] = {planes, in}, second[] = {planes, planes},
                   last[] = {4 * planes, planes}, down[] = {4 * planes, in};
    int identity = x;
    int y = conv(graph, prefix, "conv1", "bn1", x, first, 1, 1, -1, true);
    y = conv(graph, prefix, "conv2", "bn2", y, second, 3, 1, -1, true);
    if (stride > 1)
        y = graph_avgpool(graph, NULL, y, stride);
    if (downsample) {
        if (stride > 1)
            identity = graph_avgpool(graph, NULL, identity, stride);
        identity =
            conv(graph, prefix, "downsample.0", "downsample.1", identity, down, 1, 1, -1, false);
    }
    return conv(graph, prefix, "conv3", "bn3", y, last, 1, 1, identity, true);
}

/* clip/model.py, AttentionPool2d: attention of the mean over all pixels; only its row is kept. */
static int attention_pool(const struct config *config, struct graph *graph, int x)
{
    const uint32_t side = config->image_size / 32, channels = config_resnet_channels(config);
    const uint32_t positions[] = {side * side + 1, channels}, qkv[] = {3 * channels, channels},
                   out[] = {config->image_embed_dim, channels};
    int position =
        graph_weight(graph, "visual.attnpool.positional_embedding", LAYOUT_ROWS, 2, positions);
    x = graph_meantoken(graph, NULL, x, position);
    x = linear(graph, NULL, "visual.attnpool.", "in_proj", x, qkv, VKCLIP_ACTIVATION_AUTO, -1);
    x = graph_attention(graph, NULL, x, config->image.heads, false);
    x = graph_select(graph, NULL, x, -1);
    x = linear(graph, "vision.projected", "visual.attnpool.", "c_proj", x, out,
               VKCLIP_ACTIVATION_AUTO, -1);
    return graph_normalize(graph, "vision.normalized", x);
}

static int resnet(const struct config *config, uint32_t batch, struct graph *graph)
{
    const uint32_t size = config->image_size, width = config->image.width, half = width / 2;
    const uint32_t input[] = {batch, size, size, 4}, stem1[] = {half, 4}, stem2[] = {half, half},
                   stem3[] = {width, half};
    int x = graph_input(graph, "image", graph->type, 4, input);
    x = conv(graph, "visual.", "conv1", "bn1", x, stem1, 3, 2, -1, true);
    x = conv(graph, "visual.", "conv2", "bn2", x, stem2, 3, 1, -1, true);
    x = conv(graph, "visual.", "conv3", "bn3", x, stem3, 3, 1, -1, true);
    x = graph_avgpool(graph, "vision.stem", x, 2);
    uint32_t in = width;
    for (uint32_t stage = 0; stage < 4; stage++)
        for (uint32_t i = 0; i < config->stages[stage]; i++) {
            const uint32_t planes = width << stage;
            char prefix[64], result[64];
            snprintf(prefix, sizeof(prefix), "visual.layer%u.%u.", stage + 1, i);
            snprintf(result, sizeof(result), "vision.layer%u.%u", stage + 1, i);
            graph_begin_segment(graph);
            x = bottleneck(graph, prefix, x, in, planes, stage && !i ? 2 : 1, !i);
            graph_rename(graph, x, result);
            in = 4 * planes;
        }
    graph_end_segment(graph);
    return attention_pool(config, graph, x);
}

int model_add_image(const struct config *config, uint32_t batch, struct graph *graph)
{
    return (config->image.kind == KIND_RESNET ? resnet : vit)(config, batch, graph);
}

int model_image_graph(const struct config *config, enum type type, uint32_t batch,
                      struct graph *graph)
{
    graph_init(graph, type);
    model_add_image(config, batch, graph);
    return finish(graph);
}

int model_add_text(const struct config *config, uint32_t batch, struct graph *graph)
{
    const struct config_tower *tower = &config->text;
    const uint32_t ids[] = {batch, config->context};
    const uint32_t table[] = {config->vocabulary, tower->width};
    const uint32_t positions[] = {config->context, tower->width};
    int x = graph_input(graph, "text.ids", TYPE_I32, 2, ids);
    int rows = graph_input(graph, "text.rows", TYPE_I32, 1, &batch);
    int w = graph_weight(graph, "token_embedding.weight", LAYOUT_ROWS, 2, table);
    int position = graph_weight(graph, "positional_embedding", LAYOUT_ROWS, 2, positions);
    x = graph_embedding(graph, "text.hidden.0", x, w, position);
    x = transformer(graph, "text", "", x, true, tower);
    x = layernorm(graph, "text.final_norm", "", "ln_final", x, tower);
    x = graph_select(graph, "text.pooled", x, rows);
    return embed(graph, "text", "text_projection", x, tower, config->text_embed_dim);
}

int model_text_graph(const struct config *config, enum type type, uint32_t batch,
                     struct graph *graph)
{
    graph_init(graph, type);
    model_add_text(config, batch, graph);
    return finish(graph);
}

size_t model_image_floats(const struct config *config)
{
    return (size_t)(config->image.kind == KIND_RESNET ? 4 : 3) * config->image_size *
           config->image_size;
}

static void write_patches(const struct config *config, const float *pixels, float *patches)
{
    const uint32_t size = config->image_size, patch = config->patch_size;
    for (uint32_t top = 0; top < size; top += patch)
        for (uint32_t left = 0; left < size; left += patch)
            for (uint32_t channel = 0; channel < 3; channel++)
                for (uint32_t y = 0; y < patch; y++) {
                    size_t row = (size_t)channel * size + top + y;
                    memcpy(patches, &pixels[row * size + left], patch * sizeof(*patches));
                    patches += patch;
                }
}

void model_image_input(const struct config *config, const float *pixels, float *input)
{
    const size_t plane = (size_t)config->image_size * config->image_size;
    if (config->image.kind != KIND_RESNET) {
        write_patches(config, pixels, input);
        return;
    }
    for (size_t i = 0; i < plane; i++)
        for (size_t channel = 0; channel < 4; channel++)
            input[4 * i + channel] = channel < 3 ? pixels[channel * plane + i] : 0;
}

int32_t model_end_of_text(const struct config *config, const int32_t *ids)
{
    int32_t best = 0;
    for (uint32_t i = 0; i < config->context; i++) {
        if (config->eos_token_id < 0 ? ids[i] > ids[best] : ids[i] == config->eos_token_id) {
            best = (int32_t)i;
            if (config->eos_token_id >= 0)
                break;
        }
    }
    return best;
}
