/* SPDX-License-Identifier: MIT
 *
 * Names of tensors: the names that a canonical tensor has in the files of each form lead back to
 * it, and names that no rule knows stay as they are.
 */
#include "base/string.h"
#include "checkpoint/names.h"
#include "support/testing.h"

/* Each case has a canonical tensor and the first name that files of each form have for it. */
static const struct {
    const char *canonical, *openai, *hugging_face, *clip_cpp;
    unsigned hugging_face_parts, openai_parts;
    bool transposed; /* whether Hugging Face and clip.cpp store it transposed */
} cases[] = {
    {"token_embedding.weight", "token_embedding.weight",
     "text_model.embeddings.token_embedding.weight", "t.token_embd.weight", 1, 1, false},
    {"text_projection", "text_projection", "text_projection.weight", "text_projection.weight", 1, 1,
     true},
    {"visual.proj", "visual.proj", "visual_projection.weight", "visual_projection.weight", 1, 1,
     true},
    {"visual.ln_post.bias", "visual.ln_post.bias", "vision_model.post_layernorm.bias",
     "v.post_ln.bias", 1, 1, false},
    {"transformer.resblocks.11.attn.in_proj_bias", "transformer.resblocks.11.attn.in_proj_bias",
     "text_model.encoder.layers.11.self_attn.q_proj.bias", "t.blk.11.attn_q.bias", 3, 1, false},
    {"visual.transformer.resblocks.0.mlp.c_fc.weight",
     "visual.transformer.resblocks.0.mlp.c_fc.weight",
     "vision_model.encoder.layers.0.mlp.fc1.weight", "v.blk.0.ffn_down.weight", 1, 1, false},
    {"visual.attnpool.in_proj_weight", "visual.attnpool.q_proj.weight",
     "visual.attnpool.in_proj_weight", "visual.attnpool.in_proj_weight", 1, 3, false},
    {"text_projection.bias", "text_projection.bias", "text_projection.bias", "text_projection.bias",
     1, 1, false},
    {"logit_scale", "logit_scale", "logit_scale", "logit_scale", 1, 1, false},
};

static void check_form(enum names_form form, const char *canonical, const char *first_name,
                       unsigned expected_count, bool transposed)
{
    const uint64_t shape[] = {12, 5};
    const unsigned count = names_count_parts(form, canonical);
    assert_int_equal(count, expected_count);
    for (unsigned i = 0; i < count; i++) {
        struct names_part part;
        struct names_canonical back;
        assert_int_equal(names_find_part(form, canonical, 2, shape, i, &part), 0);
        if (!i)
            assert_string_equal(part.name, first_name);
        assert_int_equal(part.rank, 2);
        assert_int_equal(part.transposed, transposed);
        assert_int_equal(part.shape[0], transposed ? 5 : 12 / count);
        assert_int_equal(part.shape[1], transposed ? 12 : 5);
        assert_int_equal(part.first_row, i * 12 / count);
        assert_int_equal(names_find_canonical(form, part.name, 0, &back), 0);
        assert_string_equal(back.name, canonical);
        assert_int_equal(back.part, count > 1 ? i + 1 : 0);
        assert_int_equal(back.parts, count > 1 ? count : 0);
        assert_int_equal(back.transposed, transposed);
        free(part.name);
        free(back.name);
    }
}

/* In OpenCLIP's files with `custom_text` only the text tower's names differ from OpenAI's. */
static void check_custom_text(const char *canonical, const char *openai, unsigned parts)
{
    const bool text = !string_begins_with(canonical, "visual.") && strcmp(canonical, "logit_scale");
    char *name = string_format("%s%s", text ? "text." : "", openai);
    check_form(NAMES_CUSTOM_TEXT, canonical, name, parts, false);
    free(name);
}

static void leads_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *name = cases[i].canonical;
        const unsigned parts = cases[i].hugging_face_parts;
        check_form(NAMES_OPENAI, name, cases[i].openai, cases[i].openai_parts, false);
        check_custom_text(name, cases[i].openai, cases[i].openai_parts);
        check_form(NAMES_HUGGING_FACE, name, cases[i].hugging_face, parts, cases[i].transposed);
        check_form(NAMES_CLIP_CPP, name, cases[i].clip_cpp, parts, cases[i].transposed);
    }
}

/* An encoder of T5 has one of two forms of the first product of the MLP, a whole one or two parts,
 * and more tensors than its tower. */
static void names_of_t5(void **state)
{
    (void)state;
    static const struct {
        const char *stored, *canonical;
        unsigned part, parts;
        bool copy;
    } t5[] = {
        {"shared.weight", "encoder.token_embedding.weight", 0, 0, false},
        {"encoder.embed_tokens.weight", "encoder.token_embedding.weight", 0, 0, true},
        {"encoder.final_layer_norm.weight", "encoder.ln_final.weight", 0, 0, false},
        {"encoder.block.23.layer.0.SelfAttention.v.weight", "encoder.block.23.attn.in_proj_weight",
         3, 3, false},
        {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
         "encoder.block.0.attn.relative.weight", 0, 0, false},
        {"encoder.block.1.layer.1.DenseReluDense.wi.weight", "encoder.block.1.mlp.c_fc.weight", 0,
         0, false},
        {"encoder.block.1.layer.1.DenseReluDense.wi_1.weight", "encoder.block.1.mlp.c_fc.weight", 2,
         2, false},
        {"decoder.block.1.layer.2.DenseReluDense.wo.weight", NULL, 0, 0, false},
        {"lm_head.weight", NULL, 0, 0, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(t5); i++) {
        struct names_canonical found;
        assert_int_equal(names_find_canonical(NAMES_T5, t5[i].stored, 0, &found), 0);
        assert_int_equal(!found.name, !t5[i].canonical);
        if (found.name)
            assert_string_equal(found.name, t5[i].canonical);
        assert_int_equal(found.part, t5[i].part);
        assert_int_equal(found.parts, t5[i].parts);
        assert_int_equal(found.copy, t5[i].copy);
        free(found.name);
    }
}

static void keeps_unknown_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "text_model.encoder.layers.x.mlp.fc1.weight", /* x is no number */
        "text_model.encoder.layers.1.mlp.fc1.",       /* nothing follows the last dot */
        "text_model.encoder.layers.1.mlp.fc3.weight", "text_projection.weight.x", "",
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct names_canonical canonical;
        assert_int_equal(names_find_canonical(NAMES_HUGGING_FACE, names[i], 0, &canonical), 0);
        assert_string_equal(canonical.name, names[i]);
        assert_int_equal(canonical.part, 0);
        assert_false(canonical.transposed);
        free(canonical.name);
    }
}

static void tells_families(void **state)
{
    (void)state;
    enum names_form form;
    assert_int_equal(names_family("vision_model.x", false, &form), VKCLIP_FAMILY_HF);
    assert_int_equal(names_family("transformer.resblocks.0.x", false, &form), VKCLIP_FAMILY_OPENAI);
    assert_int_equal(names_family("t.blk.0.x", true, &form), VKCLIP_FAMILY_OPENAI);
    assert_int_equal(names_family("t.blk.0.x", false, &form), VKCLIP_FAMILY_NONE);
    assert_int_equal(names_family("logit_scale", false, &form), VKCLIP_FAMILY_NONE);
    assert_int_equal(names_family("encoder.block.0.x", false, &form), VKCLIP_FAMILY_HF);
    assert_int_equal(form, NAMES_T5);
    assert_int_equal(names_family("text.ln_final.bias", false, &form), VKCLIP_FAMILY_OPENAI);
    assert_int_equal(form, NAMES_CUSTOM_TEXT);
    assert_true(names_is_buffer("text_model.embeddings.position_ids"));
    assert_true(names_is_buffer("input_resolution"));
    assert_false(names_is_buffer("visual.conv1.weight"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leads_back),
        cmocka_unit_test(names_of_t5),
        cmocka_unit_test(keeps_unknown_names),
        cmocka_unit_test(tells_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
