/* SPDX-License-Identifier: MIT
 *
 * Holds the rules that translate names of tensors, and applies them to one name.
 */
#include "checkpoint/names.h"
#include "base/array.h"
#include "base/error.h"
#include "base/string.h"

#include <string.h>

/* LEADING: the canonical tensor has a dimension of one before those of the stored one. FIRST_THIRD
 * and LAST_THIRDS: the canonical tensor is these rows of the stored one, which has a rule for each.
 */
enum rule_kind {
    WHOLE,
    TRANSPOSED,
    COPY,
    LEFT_OUT,
    LEADING,
    FIRST_THIRD,
    LAST_THIRDS,
    GATE,
    GATED,
    QUERY,
    KEY,
    VALUE,
    QUERY_ALONE,
    VALUE_ALONE
};

/* In `stored` and `canonical`, '#' matches a block's number and '*' the rest of the name. */
struct rule {
    const char *stored, *canonical;
    enum rule_kind kind;
};

/* clang-format off */
#define BLOCK(stored, canonical)                                                            \
    {stored ".encoder.layers.#.self_attn.q_proj.*", canonical ".#.attn.in_proj_*", QUERY},  \
    {stored ".encoder.layers.#.self_attn.k_proj.*", canonical ".#.attn.in_proj_*", KEY},    \
    {stored ".encoder.layers.#.self_attn.v_proj.*", canonical ".#.attn.in_proj_*", VALUE},  \
    {stored ".encoder.layers.#.self_attn.out_proj.*", canonical ".#.attn.out_proj.*", WHOLE}, \
    {stored ".encoder.layers.#.layer_norm1.*", canonical ".#.ln_1.*", WHOLE},               \
    {stored ".encoder.layers.#.layer_norm2.*", canonical ".#.ln_2.*", WHOLE},               \
    {stored ".encoder.layers.#.mlp.fc1.*", canonical ".#.mlp.c_fc.*", WHOLE},               \
    {stored ".encoder.layers.#.mlp.fc2.*", canonical ".#.mlp.c_proj.*", WHOLE},
#define CLIP_IMAGE                                                                          \
    BLOCK("vision_model", "visual.transformer.resblocks")                                   \
    {"vision_model.embeddings.class_embedding", "visual.class_embedding", WHOLE},           \
    {"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight", WHOLE},       \
    {"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding", WHOLE}, \
    {"vision_model.pre_layrnorm.*", "visual.ln_pre.*", WHOLE}, /* transformers spells it so */ \
    {"vision_model.post_layernorm.*", "visual.ln_post.*", WHOLE},                           \
    {"visual_projection.weight", "visual.proj", TRANSPOSED},
static const struct rule hugging_face_rules[] = {
    BLOCK("text_model", "transformer.resblocks")
    {"text_model.embeddings.token_embedding.weight", "token_embedding.weight", WHOLE},
    {"text_model.embeddings.position_embedding.weight", "positional_embedding", WHOLE},
    {"text_model.final_layer_norm.*", "ln_final.*", WHOLE},
    {"text_projection.weight", "text_projection", TRANSPOSED},
    CLIP_IMAGE
};

/* The encoders of transformers' BERT and XLM-R. */
#define BERT(stored)                                                                        \
    {stored "embeddings.word_embeddings.weight", "bert.token_embedding.weight", WHOLE},     \
    {stored "embeddings.position_embeddings.weight", "bert.positional_embedding", WHOLE},   \
    {stored "embeddings.token_type_embeddings.weight", "bert.type_embedding", WHOLE},       \
    {stored "embeddings.LayerNorm.*", "bert.ln_embedding.*", WHOLE},                        \
    BERT_LAYER(stored, "attention.self.query.*", "attn.in_proj_*", QUERY)                   \
    BERT_LAYER(stored, "attention.self.key.*", "attn.in_proj_*", KEY)                       \
    BERT_LAYER(stored, "attention.self.value.*", "attn.in_proj_*", VALUE)                   \
    BERT_LAYER(stored, "attention.output.dense.*", "attn.out_proj.*", WHOLE)                \
    BERT_LAYER(stored, "attention.output.LayerNorm.*", "ln_1.*", WHOLE)                     \
    BERT_LAYER(stored, "intermediate.dense.*", "mlp.c_fc.*", WHOLE)                         \
    BERT_LAYER(stored, "output.dense.*", "mlp.c_proj.*", WHOLE)                             \
    BERT_LAYER(stored, "output.LayerNorm.*", "ln_2.*", WHOLE)
#define BERT_LAYER(stored, name, canonical, kind)                                           \
    {stored "encoder.layer.#." name, "bert.block.#." canonical, kind},
static const struct rule chinese_clip_rules[] = {
    BERT("text_model.")
    {"text_model.pooler.*", "", LEFT_OUT}, /* Chinese-CLIP does not use it. */
    {"text_projection.weight", "bert.proj.weight", WHOLE},
    CLIP_IMAGE
};
static const struct rule alt_clip_rules[] = {
    BERT("text_model.roberta.")
    {"text_model.roberta.pooler.*", "", LEFT_OUT}, /* AltCLIP does not use it. */
    {"text_model.pre_LN.*", "bert.ln_final.*", WHOLE},
    {"text_model.transformation.*", "bert.transformation.*", WHOLE},
    {"text_projection.weight", "bert.proj.weight", WHOLE},
    CLIP_IMAGE
};
static const struct rule m_clip_rules[] = {
    BERT("transformer.")
    {"transformer.pooler.*", "", LEFT_OUT}, /* M-CLIP does not use it. */
    {"LinearTransformation.*", "bert.proj.*", WHOLE},
};

/* SigLIP has text_model and vision_model too, but its canonical image tower has timm's names, and
 * its text tower a projection with bias. */
static const struct rule siglip_rules[] = {
    BLOCK("text_model", "transformer.resblocks")
    {"text_model.embeddings.token_embedding.weight", "token_embedding.weight", WHOLE},
    {"text_model.embeddings.position_embedding.weight", "positional_embedding", WHOLE},
    {"text_model.final_layer_norm.*", "ln_final.*", WHOLE},
    {"text_model.head.*", "text_projection.*", WHOLE},
    {"vision_model.encoder.layers.#.self_attn.q_proj.*", "visual.trunk.blocks.#.attn.qkv.*", QUERY},
    {"vision_model.encoder.layers.#.self_attn.k_proj.*", "visual.trunk.blocks.#.attn.qkv.*", KEY},
    {"vision_model.encoder.layers.#.self_attn.v_proj.*", "visual.trunk.blocks.#.attn.qkv.*", VALUE},
    {"vision_model.encoder.layers.#.self_attn.out_proj.*", "visual.trunk.blocks.#.attn.proj.*", WHOLE},
    {"vision_model.encoder.layers.#.layer_norm1.*", "visual.trunk.blocks.#.norm1.*", WHOLE},
    {"vision_model.encoder.layers.#.layer_norm2.*", "visual.trunk.blocks.#.norm2.*", WHOLE},
    {"vision_model.encoder.layers.#.mlp.*", "visual.trunk.blocks.#.mlp.*", WHOLE},
    {"vision_model.embeddings.patch_embedding.*", "visual.trunk.patch_embed.proj.*", WHOLE},
    {"vision_model.embeddings.position_embedding.weight", "visual.trunk.pos_embed", LEADING},
    {"vision_model.post_layernorm.*", "visual.trunk.norm.*", WHOLE},
    {"vision_model.head.probe", "visual.trunk.attn_pool.latent", WHOLE},
    {"vision_model.head.attention.in_proj_weight", "visual.trunk.attn_pool.q.weight", FIRST_THIRD},
    {"vision_model.head.attention.in_proj_weight", "visual.trunk.attn_pool.kv.weight", LAST_THIRDS},
    {"vision_model.head.attention.in_proj_bias", "visual.trunk.attn_pool.q.bias", FIRST_THIRD},
    {"vision_model.head.attention.in_proj_bias", "visual.trunk.attn_pool.kv.bias", LAST_THIRDS},
    {"vision_model.head.attention.out_proj.*", "visual.trunk.attn_pool.proj.*", WHOLE},
    {"vision_model.head.layernorm.*", "visual.trunk.attn_pool.norm.*", WHOLE},
    {"vision_model.head.mlp.*", "visual.trunk.attn_pool.mlp.*", WHOLE},
};

/* OpenAI's names differ from the canonical ones only in the attention pool of a ModifiedResNet,
 * and timm's in parts of EVA-CLIP's blocks. */
#define EVA_BLOCK(stored, canonical, kind)                                             \
    {"visual.trunk.blocks.#." stored, "visual.trunk.blocks.#." canonical, kind}
#define OPENAI_RULES                                                                  \
    EVA_BLOCK("attn.q_proj.weight", "attn.in_proj_weight", QUERY),                    \
    EVA_BLOCK("attn.k_proj.weight", "attn.in_proj_weight", KEY),                      \
    EVA_BLOCK("attn.v_proj.weight", "attn.in_proj_weight", VALUE),                    \
    EVA_BLOCK("attn.q_proj.bias", "attn.in_proj_bias", QUERY_ALONE),                  \
    EVA_BLOCK("attn.v_proj.bias", "attn.in_proj_bias", VALUE_ALONE),                  \
    EVA_BLOCK("attn.q_bias", "attn.qv_bias", QUERY_ALONE),                            \
    EVA_BLOCK("attn.v_bias", "attn.qv_bias", VALUE_ALONE),                            \
    EVA_BLOCK("mlp.fc1_g.*", "mlp.fc1_gx.*", GATE),                                   \
    EVA_BLOCK("mlp.fc1_x.*", "mlp.fc1_gx.*", GATED),                                  \
    {"visual.attnpool.q_proj.*", "visual.attnpool.in_proj_*", QUERY}, \
    {"visual.attnpool.k_proj.*", "visual.attnpool.in_proj_*", KEY},   \
    {"visual.attnpool.v_proj.*", "visual.attnpool.in_proj_*", VALUE},
static const struct rule openai_rules[] = {OPENAI_RULES};

/* With `custom_text` OpenCLIP puts the text tower in a module of its own. */
static const struct rule custom_text_rules[] = {
    OPENAI_RULES
    BERT("text.transformer.") /* that of transformers which hf_model_name names */
    {"text.transformer.pooler.dense.*", "bert.pooler.*", WHOLE},
    {"text.proj.0.weight", "bert.proj.0.weight", WHOLE},
    {"text.proj.2.weight", "bert.proj.2.weight", WHOLE},
    {"text.proj.weight", "bert.proj.weight", WHOLE},
    {"text.transformer.resblocks.*", "transformer.resblocks.*", WHOLE},
    {"text.token_embedding.weight", "token_embedding.weight", WHOLE},
    {"text.positional_embedding", "positional_embedding", WHOLE},
    {"text.ln_final.*", "ln_final.*", WHOLE},
    {"text.text_projection", "text_projection", WHOLE},
    {"text.text_projection.*", "text_projection.*", WHOLE},
};

/* The state dict of OpenAI's image tower alone lacks its prefix. */
static const struct rule openai_image_rules[] = {
    OPENAI_RULES
    {"visual.attnpool.positional_embedding", "visual.attnpool.positional_embedding", WHOLE},
    {"visual.attnpool.c_proj.*", "visual.attnpool.c_proj.*", WHOLE},
    {"visual.conv#.*", "visual.conv#.*", WHOLE},
    {"visual.bn#.*", "visual.bn#.*", WHOLE},
    {"visual.layer#.*", "visual.layer#.*", WHOLE},
    {"visual.class_embedding", "visual.class_embedding", WHOLE},
    {"visual.positional_embedding", "visual.positional_embedding", WHOLE},
    {"visual.ln_pre.*", "visual.ln_pre.*", WHOLE},
    {"visual.ln_post.*", "visual.ln_post.*", WHOLE},
    {"visual.transformer.*", "visual.transformer.*", WHOLE},
    {"visual.proj", "visual.proj", WHOLE},
};

/* clip.cpp calls the first matrix of an MLP "down" and the second "up". */
#define CLIP_CPP_BLOCK(stored, canonical)                                      \
    {stored ".blk.#.attn_q.*", canonical ".#.attn.in_proj_*", QUERY},          \
    {stored ".blk.#.attn_k.*", canonical ".#.attn.in_proj_*", KEY},            \
    {stored ".blk.#.attn_v.*", canonical ".#.attn.in_proj_*", VALUE},          \
    {stored ".blk.#.attn_out.*", canonical ".#.attn.out_proj.*", WHOLE},       \
    {stored ".blk.#.ln1.*", canonical ".#.ln_1.*", WHOLE},                     \
    {stored ".blk.#.ln2.*", canonical ".#.ln_2.*", WHOLE},                     \
    {stored ".blk.#.ffn_down.*", canonical ".#.mlp.c_fc.*", WHOLE},            \
    {stored ".blk.#.ffn_up.*", canonical ".#.mlp.c_proj.*", WHOLE},
static const struct rule clip_cpp_rules[] = {
    CLIP_CPP_BLOCK("t", "transformer.resblocks")
    CLIP_CPP_BLOCK("v", "visual.transformer.resblocks")
    {"t.token_embd.weight", "token_embedding.weight", WHOLE},
    {"t.position_embd.weight", "positional_embedding", WHOLE},
    {"t.post_ln.*", "ln_final.*", WHOLE},
    {"text_projection.weight", "text_projection", TRANSPOSED},
    {"v.class_embd", "visual.class_embedding", WHOLE},
    {"v.patch_embd.weight", "visual.conv1.weight", WHOLE},
    {"v.position_embd.weight", "visual.positional_embedding", WHOLE},
    {"v.pre_ln.*", "visual.ln_pre.*", WHOLE},
    {"v.post_ln.*", "visual.ln_post.*", WHOLE},
    {"visual_projection.weight", "visual.proj", TRANSPOSED},
};

/* transformers' names of T5, mT5 and UMT5. Whole models have a decoder too. */
#define T5_BLOCK(stored, canonical, kind)                                                    \
    {"encoder.block.#.layer." stored, "encoder.block.#." canonical, kind}
static const struct rule t5_rules[] = {
    {"shared.weight", "encoder.token_embedding.weight", WHOLE},
    {"encoder.embed_tokens.weight", "encoder.token_embedding.weight", COPY},
    {"encoder.final_layer_norm.weight", "encoder.ln_final.weight", WHOLE},
    T5_BLOCK("0.layer_norm.weight", "ln_1.weight", WHOLE),
    T5_BLOCK("0.SelfAttention.q.*", "attn.in_proj_*", QUERY),
    T5_BLOCK("0.SelfAttention.k.*", "attn.in_proj_*", KEY),
    T5_BLOCK("0.SelfAttention.v.*", "attn.in_proj_*", VALUE),
    T5_BLOCK("0.SelfAttention.o.*", "attn.out_proj.*", WHOLE),
    T5_BLOCK("0.SelfAttention.relative_attention_bias.*", "attn.relative.*", WHOLE),
    T5_BLOCK("1.layer_norm.weight", "ln_2.weight", WHOLE),
    T5_BLOCK("1.DenseReluDense.wi.*", "mlp.c_fc.*", WHOLE),
    T5_BLOCK("1.DenseReluDense.wi_0.*", "mlp.c_fc.*", GATE),
    T5_BLOCK("1.DenseReluDense.wi_1.*", "mlp.c_fc.*", GATED),
    T5_BLOCK("1.DenseReluDense.wo.*", "mlp.c_proj.*", WHOLE),
    {"decoder.*", "", LEFT_OUT},
    {"lm_head.*", "", LEFT_OUT},
};

/* llama.cpp's names of the same. Where there is no gate, the first matrix of an MLP is "up". */
#define T5_LLAMA(up_kind)                                                                    \
    {"token_embd.weight", "encoder.token_embedding.weight", WHOLE},                          \
    {"enc.output_norm.weight", "encoder.ln_final.weight", WHOLE},                            \
    {"enc.blk.#.attn_norm.weight", "encoder.block.#.ln_1.weight", WHOLE},                    \
    {"enc.blk.#.attn_q.*", "encoder.block.#.attn.in_proj_*", QUERY},                         \
    {"enc.blk.#.attn_k.*", "encoder.block.#.attn.in_proj_*", KEY},                           \
    {"enc.blk.#.attn_v.*", "encoder.block.#.attn.in_proj_*", VALUE},                         \
    {"enc.blk.#.attn_o.*", "encoder.block.#.attn.out_proj.*", WHOLE},                        \
    {"enc.blk.#.attn_rel_b.*", "encoder.block.#.attn.relative.*", WHOLE},                    \
    {"enc.blk.#.ffn_norm.weight", "encoder.block.#.ln_2.weight", WHOLE},                     \
    {"enc.blk.#.ffn_gate.*", "encoder.block.#.mlp.c_fc.*", GATE},                            \
    {"enc.blk.#.ffn_up.*", "encoder.block.#.mlp.c_fc.*", up_kind},                           \
    {"enc.blk.#.ffn_down.*", "encoder.block.#.mlp.c_proj.*", WHOLE},                         \
    {"dec.*", "", LEFT_OUT},                                                                 \
    {"output.*", "", LEFT_OUT},
static const struct rule t5_llama_rules[] = {T5_LLAMA(GATED)};
static const struct rule t5_llama_plain_rules[] = {T5_LLAMA(WHOLE)};

#define TABLE(rules, absent) {rules, ARRAY_COUNT(rules), absent}
static const struct {
    const struct rule *rules;
    size_t count;
    const char *absent; /* a prefix of the rules' stored names that files of the form leave out */
} tables[] = {
    [NAMES_OPENAI] = TABLE(openai_rules, ""),
    [NAMES_CUSTOM_TEXT] = TABLE(custom_text_rules, ""),
    [NAMES_OPENAI_IMAGE] = TABLE(openai_image_rules, "visual."),
    [NAMES_HUGGING_FACE] = TABLE(hugging_face_rules, ""),
    [NAMES_TEXT_ALONE] = TABLE(hugging_face_rules, "text_model."),
    [NAMES_IMAGE_ALONE] = TABLE(hugging_face_rules, "vision_model."),
    [NAMES_SIGLIP] = TABLE(siglip_rules, ""),
    [NAMES_SIGLIP_TEXT_ALONE] = TABLE(siglip_rules, "text_model."),
    [NAMES_SIGLIP_IMAGE_ALONE] = TABLE(siglip_rules, "vision_model."),
    [NAMES_CLIP_CPP] = TABLE(clip_cpp_rules, ""),
    [NAMES_CHINESE_CLIP] = TABLE(chinese_clip_rules, ""),
    [NAMES_CHINESE_TEXT] = TABLE(chinese_clip_rules, "text_model."),
    [NAMES_ALT_CLIP] = TABLE(alt_clip_rules, ""),
    [NAMES_ALT_TEXT] = TABLE(alt_clip_rules, "text_model."),
    [NAMES_M_CLIP] = TABLE(m_clip_rules, ""),
    [NAMES_T5] = TABLE(t5_rules, ""),
    [NAMES_T5_LLAMA] = TABLE(t5_llama_rules, ""),
    [NAMES_T5_LLAMA_PLAIN] = TABLE(t5_llama_plain_rules, ""),
};
/* clang-format on */

/* Returns the pattern that names in files of a form match. */
static const char *stored_pattern(enum names_form form, const struct rule *rule)
{
    const char *absent = tables[form].absent;
    return rule->stored + (string_begins_with(rule->stored, absent) ? strlen(absent) : 0);
}

/* Where '#' and '*' begin in a name that matches a pattern. */
struct wildcards {
    const char *number, *rest;
};

static bool match_pattern(const char *name, const char *pattern, struct wildcards *wildcards)
{
    *wildcards = (struct wildcards){"", ""};
    for (; *pattern; pattern++) {
        if (*pattern == '*') {
            wildcards->rest = name;
            return *name != 0;
        }
        if (*pattern == '#') {
            wildcards->number = name;
            name += strspn(name, "0123456789");
        } else {
            if (*pattern != *name)
                return false;
            name++;
        }
    }
    return !*name;
}

/* Returns a pattern with its wildcards replaced, as a new string, or NULL if memory runs out. */
static char *fill_pattern(const char *pattern, const struct wildcards *wildcards)
{
    const int head = (int)strcspn(pattern, "#*");
    const int digits = (int)strspn(wildcards->number, "0123456789");
    const char *tail = pattern + head;
    if (*tail == '#')
        tail++;
    return string_format("%.*s%.*s%.*s%s", head, pattern, digits, wildcards->number,
                         (int)strcspn(tail, "*"), tail, wildcards->rest);
}

/* ---- From files to canonical names ----------------------------------------------------------- */

enum vkclip_family names_family(const char *name, bool gguf, enum names_form *form)
{
    static const struct {
        const char *prefix;
        bool gguf; /* only in GGUF files */
        enum vkclip_family family;
        enum names_form form;
    } prefixes[] = {
        {"t.", true, VKCLIP_FAMILY_OPENAI, NAMES_CLIP_CPP},
        {"v.", true, VKCLIP_FAMILY_OPENAI, NAMES_CLIP_CPP},
        {"text_model.embeddings.LayerNorm.", false, VKCLIP_FAMILY_HF, NAMES_CHINESE_CLIP},
        {"text_model.pre_LN.", false, VKCLIP_FAMILY_HF, NAMES_ALT_CLIP},
        {"text_model.roberta.", false, VKCLIP_FAMILY_HF, NAMES_ALT_CLIP},
        {"embeddings.LayerNorm.", false, VKCLIP_FAMILY_HF, NAMES_CHINESE_TEXT},
        {"pre_LN.", false, VKCLIP_FAMILY_HF, NAMES_ALT_TEXT},
        {"roberta.embeddings.LayerNorm.", false, VKCLIP_FAMILY_HF, NAMES_ALT_TEXT},
        {"LinearTransformation.", false, VKCLIP_FAMILY_HF, NAMES_M_CLIP},
        {"text_model.", false, VKCLIP_FAMILY_HF, NAMES_HUGGING_FACE},
        {"vision_model.", false, VKCLIP_FAMILY_HF, NAMES_HUGGING_FACE},
        {"embeddings.token_embedding.", false, VKCLIP_FAMILY_HF, NAMES_TEXT_ALONE},
        {"embeddings.patch_embedding.", false, VKCLIP_FAMILY_HF, NAMES_IMAGE_ALONE},
        {"encoder.block.", false, VKCLIP_FAMILY_HF, NAMES_T5},
        {"enc.blk.0.ffn_gate.", true, VKCLIP_FAMILY_HF, NAMES_T5_LLAMA}, /* It is sorted first. */
        {"enc.blk.0.ffn_norm.", true, VKCLIP_FAMILY_HF, NAMES_T5_LLAMA_PLAIN},
        {"text.", false, VKCLIP_FAMILY_OPENAI,
         NAMES_CUSTOM_TEXT}, /* It is sorted before "visual". */
        {"visual.", false, VKCLIP_FAMILY_OPENAI, NAMES_OPENAI},
        {"class_embedding", false, VKCLIP_FAMILY_OPENAI, NAMES_OPENAI_IMAGE}, /* sorted first */
        {"attnpool.", false, VKCLIP_FAMILY_OPENAI, NAMES_OPENAI_IMAGE},
        {"transformer.resblocks.", false, VKCLIP_FAMILY_OPENAI, NAMES_OPENAI},
    };
    for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++)
        if ((gguf || !prefixes[i].gguf) && string_begins_with(name, prefixes[i].prefix)) {
            if (form)
                *form = prefixes[i].form;
            return prefixes[i].family;
        }
    return VKCLIP_FAMILY_NONE;
}

bool names_is_hugging_face(enum names_form form)
{
    return form >= NAMES_HUGGING_FACE && form <= NAMES_SIGLIP_IMAGE_ALONE;
}

bool names_show_form(const char *name, enum names_form *form)
{
    static const struct {
        const char *prefix;
        enum names_form form;
    } shown[] = {
        {"text_model.head.", NAMES_SIGLIP},
        {"vision_model.embeddings.patch_embedding.bias", NAMES_SIGLIP},
        {"head.bias", NAMES_SIGLIP_TEXT_ALONE},
        {"embeddings.patch_embedding.bias", NAMES_SIGLIP_IMAGE_ALONE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(shown); i++)
        if (string_begins_with(name, shown[i].prefix)) {
            *form = shown[i].form;
            return true;
        }
    return false;
}

bool names_belongs(enum names_form form, const char *stored)
{
    const size_t length = strcspn(stored, ".");
    for (size_t i = 0; i < tables[form].count; i++) {
        const char *pattern = stored_pattern(form, &tables[form].rules[i]);
        if (strcspn(pattern, ".") == length && !strncmp(stored, pattern, length))
            return true;
    }
    return false;
}

bool names_is_buffer(const char *name)
{
    /* scaled_fp8 is ComfyUI's, and spiece_model is a tokenizer's file. */
    static const char *const buffers[] = {"position_ids", "token_type_ids",   "num_batches_tracked",
                                          "attn_mask",    "input_resolution", "context_length",
                                          "vocab_size",   "scaled_fp8",       "scale_input",
                                          "spiece_model"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < ARRAY_COUNT(buffers); i++)
        if (!strcmp(dot ? dot + 1 : name, buffers[i]))
            return true;
    return false;
}

/* Returns the number of parts of a tensor of which a rule gives one, or 0 if it gives all. */
static unsigned count_parts(enum rule_kind kind)
{
    if (kind >= QUERY)
        return 3;
    return kind >= GATE ? 2 : 0;
}

/* Tells whether no file has the key of a tensor in parts, which is then zero. */
static bool lacks_key(enum rule_kind kind)
{
    return kind >= QUERY_ALONE;
}

/* Returns which of the parts a rule gives, counted from 0. */
static unsigned part_number(enum rule_kind kind)
{
    if (lacks_key(kind))
        return kind == VALUE_ALONE ? 2 : 0;
    return kind - (kind >= QUERY ? QUERY : GATE);
}

/* Sets which rows of a stored tensor are the canonical one, in thirds. */
static void set_thirds(enum rule_kind kind, struct names_canonical *canonical)
{
    canonical->leading = kind == LEADING;
    canonical->first_third = kind == LAST_THIRDS;
    canonical->thirds = kind == FIRST_THIRD ? 1 : kind == LAST_THIRDS ? 2 : 0;
}

int names_find_canonical(enum names_form form, const char *stored, unsigned index,
                         struct names_canonical *canonical)
{
    const struct rule *rule = NULL;
    struct wildcards wildcards = {0};
    unsigned found = 0;
    for (size_t i = 0; i < tables[form].count && !rule; i++)
        if (match_pattern(stored, stored_pattern(form, &tables[form].rules[i]), &wildcards) &&
            found++ == index)
            rule = &tables[form].rules[i];
    *canonical = (struct names_canonical){0};
    if ((rule && rule->kind == LEFT_OUT) || (!rule && index))
        return VKCLIP_OK;
    canonical->name =
        rule ? fill_pattern(rule->canonical, &wildcards) : string_format("%s", stored);
    if (!canonical->name)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", stored);
    if (!rule)
        return VKCLIP_OK;
    canonical->ruled = true;
    canonical->transposed = rule->kind == TRANSPOSED;
    canonical->copy = rule->kind == COPY;
    set_thirds(rule->kind, canonical);
    canonical->parts = count_parts(rule->kind);
    if (canonical->parts)
        canonical->part = 1 + part_number(rule->kind);
    canonical->keyless = lacks_key(rule->kind);
    return VKCLIP_OK;
}

/* ---- From canonical names to files ----------------------------------------------------------- */

/* Returns rule number `index` of those that give the canonical name, or NULL if there are fewer. */
static const struct rule *find_rule(enum names_form form, const char *canonical, unsigned index,
                                    struct wildcards *wildcards)
{
    for (size_t i = 0; i < tables[form].count; i++) {
        if (!match_pattern(canonical, tables[form].rules[i].canonical, wildcards))
            continue;
        if (!index)
            return &tables[form].rules[i];
        index--;
    }
    return NULL;
}

unsigned names_count_parts(enum names_form form, const char *canonical)
{
    struct wildcards wildcards;
    unsigned count = 0;
    while (find_rule(form, canonical, count, &wildcards))
        count++;
    return count ? count : 1;
}

int names_find_part(enum names_form form, const char *canonical, unsigned rank,
                    const uint64_t *shape, unsigned index, struct names_part *part)
{
    struct wildcards wildcards;
    const struct rule *rule = find_rule(form, canonical, index, &wildcards);
    *part = (struct names_part){.rank = rank};
    if (rank)
        memcpy(part->shape, shape, rank * sizeof(*shape));
    part->name = rule ? fill_pattern(stored_pattern(form, rule), &wildcards)
                      : string_format("%s", canonical);
    if (!part->name)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", canonical);
    if (rule && count_parts(rule->kind)) {
        part->shape[0] /= count_parts(rule->kind);
        part->first_row = part_number(rule->kind) * part->shape[0];
    }
    if (rule && rule->kind == LEADING && rank > 1) {
        part->rank = rank - 1;
        memmove(part->shape, shape + 1, part->rank * sizeof(*shape));
        part->reshaped = true;
    }
    if (rule && (rule->kind == FIRST_THIRD || rule->kind == LAST_THIRDS)) {
        part->joined = true;
        part->shape[0] = rule->kind == FIRST_THIRD ? 3 * shape[0] : shape[0] / 2 * 3;
        part->rows_before = rule->kind == FIRST_THIRD ? 0 : part->shape[0] - shape[0];
    }
    if (rule && rule->kind == TRANSPOSED) {
        part->transposed = true;
        part->shape[0] = shape[1];
        part->shape[1] = shape[0];
    }
    return VKCLIP_OK;
}
