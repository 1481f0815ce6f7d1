/* SPDX-License-Identifier: MIT
 *
 * Values of the configuration files: a value of the wrong type or size, or one that asks for
 * something that vkclip does not compute, is refused with a message that names it.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/checkpoints.h"

/* A changed value of a configuration, and the error of opening the model; 0: it opens. */
struct edit {
    const char *path, *value;
    int error;
    const char *message;
};

static void check_edits(const char *golden, const char *name, const struct edit *edits,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *folder = good_folder(golden);
        edit_json(folder, name, edits[i].path, edits[i].value);
        if (edits[i].error) {
            assert_failed(open_close(folder, NULL), edits[i].error, edits[i].message);
            assert_non_null(strstr(vkclip_last_error(), folder)); /* The message names the file. */
        } else if (open_close(folder, NULL)) {
            fail_msg("%s = %s: %s", edits[i].path, edits[i].value, vkclip_last_error());
        }
        scratch_remove(folder);
    }
}

static const struct edit hugging_face_edits[] = {
    {"model_type", "\"siglip2\"", UNSUPPORTED,
     "model_type: \"siglip2\" is not supported, expected siglip, as SigLIP 2 of fixed resolution"},
    {"model_type", "\"chinese_clip\"", UNSUPPORTED,
     "text_config.hidden_act: \"quick_gelu\" is not supported, expected gelu"},
    {"model_type", "\"bert\"", UNSUPPORTED, "found bert"},
    {"model_type", "\"blip\"", UNSUPPORTED, "model_type: expected clip, clip_text_model,"},
    {"model_type", NULL, UNSUPPORTED, "found none"},
    {"model_type", "7", FORMAT, "model_type: expected a string, found 7"},
    {"quantization_config", "{\"bits\":4}", UNSUPPORTED,
     "quantization_config: {\"bits\":4} is not"},
    {"projection_dim", "65", FORMAT, "text_projection: expected shape [64,65], found [64,64]"},
    {"projection_dim", "null", FORMAT, "text_projection: expected shape [64,512]"},
    {"projection_dim", "99999", FORMAT, "embedding: expected 1 to 16384, found 99999"},
    {"text_config", "[]", FORMAT, "text_config: expected an object, found []"},
    {"text_config", "null", FORMAT,
     "token_embedding.weight: expected shape [49408,512], found [1026,64]"},
    {"text_config", "{\"hidden_size\":64}", FORMAT,
     "token_embedding.weight: expected shape [49408,64]"},
    {"text_config", "\"CLIPTextConfig\"", FORMAT,
     "text_config: expected an object, found \"CLIPTextConfig\""},
    {"logit_scale_init_value", "\"NaN\"", FORMAT, "logit_scale_init_value: expected a number"},
    {"dtype", "\"float32\"", 0, NULL},
    {"text_config_dict", "null", 0, NULL},
    {"text_config_dict", "{\"hidden_size\":64}", FORMAT, "token_embedding.weight"},
    {"vision_config_dict", "7", FORMAT, "vision_config_dict: expected an object"},
    {"text_config.hidden_size", "\"64\"", FORMAT,
     "text_config.hidden_size: expected an integer from 1"},
    {"text_config.hidden_size", "-64", FORMAT, "found -64"},
    {"text_config.hidden_size", "0", FORMAT, "text_config.hidden_size: expected"},
    {"text_config.hidden_size", "64.0", FORMAT, "found 64.0"},
    {"text_config.hidden_size", "1e300", FORMAT, "text_config.hidden_size"},
    {"text_config.hidden_size", "4294967360", FORMAT, "found 4294967360"},
    {"text_config.hidden_size", "2147483647", FORMAT, "text tower: width: expected 1 to 16384"},
    {"text_config.hidden_size", "128", FORMAT, "token_embedding.weight: expected shape [1026,128]"},
    {"text_config.num_hidden_layers", "3", FORMAT,
     "transformer.resblocks.2.ln_1.weight: expected shape [64], found none: it is missing"},
    {"text_config.num_hidden_layers", "1", UNSUPPORTED,
     "transformer.resblocks.1.attn.in_proj_bias: not part of a CLIP tower of 1 layers"},
    {"text_config.num_hidden_layers", "1000000", FORMAT, "layers: expected 1 to 256"},
    {"text_config.num_attention_heads", "3", FORMAT, "width 64 is not a multiple of its 3 heads"},
    {"text_config.num_attention_heads", "128", FORMAT, "heads: expected 1 to 64, found 128"},
    {"text_config.num_attention_heads", "2", 0, NULL},
    {"text_config.intermediate_size", "255", FORMAT, "mlp.c_fc.weight: expected shape [255,64]"},
    {"text_config.intermediate_size", "1000000", FORMAT, "MLP width: expected 1 to 65536"},
    {"text_config.max_position_embeddings", "76", FORMAT,
     "positional_embedding: expected shape [76,64]"},
    {"text_config.max_position_embeddings", "1000000", FORMAT, "context: expected 1 to 4096"},
    {"text_config.max_position_embeddings", NULL, 0, NULL},
    {"text_config.vocab_size", "49408", FORMAT,
     "token_embedding.weight: expected shape [49408,64]"},
    {"text_config.vocab_size", "2147483647", FORMAT, "vocabulary: expected 1 to 16777216"},
    {"text_config.hidden_act", "\"gelu_10\"", UNSUPPORTED,
     "\"gelu_10\" is not supported, expected quick_gelu"},
    {"text_config.hidden_act", "\"silu\"", UNSUPPORTED, "\"silu\" is not supported"},
    {"text_config.hidden_act", "{}", FORMAT, "hidden_act: expected a string, found {}"},
    {"text_config.hidden_act", NULL, 0, NULL},
    {"text_config.layer_norm_eps", "-1", FORMAT, "layer_norm_eps: expected a number from 0 to 1"},
    {"text_config.layer_norm_eps", "\"1e-5\"", FORMAT, "layer_norm_eps: expected a number"},
    {"text_config.eos_token_id", "[1025]", FORMAT,
     "eos_token_id: expected a token id, found [1025]"},
    {"text_config.eos_token_id", "-2", FORMAT, "eos_token_id: expected a token id"},
    {"text_config.pad_token_id", "null", 0, NULL},
    {"vision_config.num_channels", "4", UNSUPPORTED,
     "num_channels: 4 is not supported, expected 3"},
    {"vision_config.patch_size", "7", FORMAT, "visual.conv1.weight: expected shape [64,3,7,7]"},
    {"vision_config.patch_size", "49", FORMAT,
     "image size 48: expected at least the patch size 49"},
    {"vision_config.patch_size", "16", FORMAT,
     "visual.conv1.weight: expected shape [64,3,16,16], found [64,3,8,8]"},
    {"vision_config.image_size", "56", FORMAT, "preprocessor_config.json: crop_size: expected 56"},
    {"vision_config.image_size", "100000", FORMAT, "image size: expected 1 to 4096"},
    {"vision_config.image_size", "[48,48]", 0, NULL},
    {"vision_config.image_size", "[48,56]", UNSUPPORTED, "expected a square"},
    {"architectures", "[]", 0, NULL},
    {"unknown", "{\"deep\":[1,2]}", 0, NULL},
};

static void checks_hugging_face_values(void **state)
{
    (void)state;
    check_edits(HF, "config.json", hugging_face_edits, ARRAY_COUNT(hugging_face_edits));
}

static const struct edit preprocessor_edits[] = {
    {"resample", "2", 0, NULL},
    {"resample", "6", FORMAT, "resample: expected a number from 0 to 5, found 6"},
    {"resample", NULL, 0, NULL},
    {"do_resize", "false", UNSUPPORTED, "do_resize: false is not supported"},
    {"do_pad", "true", UNSUPPORTED, "do_pad: true is not supported"},
    {"do_center_crop", "false", FORMAT, "size: expected 48, the model's image_size, as height"},
    {"do_normalize", "\"yes\"", FORMAT, "do_normalize: expected true or false"},
    {"do_normalize", "false", 0, NULL},
    {"rescale_factor", "1", UNSUPPORTED, "rescale_factor: 1 is not supported, expected 1/255"},
    {"size", "48", 0, NULL},
    {"size", "56", 0, NULL},
    {"size", "\"48\"", FORMAT, "size: expected an integer from 1"},
    {"size", "{\"shortest_edge\":56}", 0, NULL},
    {"size", "{\"shortest_edge\":0}", FORMAT, "size: expected sides from 1 to 16384"},
    {"size", "{\"shortest_edge\":48,\"longest_edge\":60}", 0, NULL},
    {"size", "{\"longest_edge\":60}", UNSUPPORTED, "expected height and width, shortest_edge"},
    {"size", "{\"max_height\":48,\"max_width\":48}", UNSUPPORTED, "expected height and width"},
    {"size", "{\"height\":48,\"shortest_edge\":48}", UNSUPPORTED, "expected height and width"},
    {"size", "{\"height\":48,\"width\":48}", 0, NULL},
    {"crop_size", "48", 0, NULL},
    {"crop_size", NULL, FORMAT, "crop_size: expected 48"},
    {"crop_size", "{\"height\":48,\"width\":49}", FORMAT, "crop_size: expected 48"},
    {"crop_size", "\"48\"", FORMAT, "crop_size: expected 48"},
    {"image_mean", "[0.5,0.5]", FORMAT, "image_mean: expected three numbers, found [0.5,0.5]"},
    {"image_mean", "[0.5,0.5,null]", FORMAT, "image_mean"},
    {"image_mean", "[0,0,0]", 0, NULL},
    {"image_std", "[0.5,0,0.5]", FORMAT, "image_std: expected three numbers above 0"},
    {"image_std", "0.5", 0, NULL},
    {"image_processor_type", "\"Siglip2ImageProcessor\"", UNSUPPORTED, "Siglip2ImageProcessor"},
    {"image_processor_type", "\"ViTImageProcessor\"", 0, NULL},
    {"image_processor_type", "\"BitImageProcessor\"", 0, NULL},
    {"image_processor_type", "\"CLIPImageProcessorFast\"", 0, NULL},
    {"image_processor_type", NULL, 0, NULL},
};

static void checks_preprocessor_values(void **state)
{
    (void)state;
    check_edits(HF, "preprocessor_config.json", preprocessor_edits,
                ARRAY_COUNT(preprocessor_edits));
}

static const struct edit openclip_edits[] = {
    {"model_cfg", NULL, FORMAT, "model_cfg: expected an object, found null"},
    {"model_cfg.embed_dim", NULL, FORMAT, "embed_dim: expected an integer, found null"},
    {"model_cfg.embed_dim", "57", FORMAT, "text_projection: expected shape [48,57], found [48,56]"},
    {"model_cfg.quick_gelu", "1", FORMAT, "quick_gelu: expected true or false"},
    {"model_cfg.custom_text", "true", 0, NULL},
    {"model_cfg.custom_text", "1", FORMAT, "custom_text: expected true or false"},
    {"model_cfg.multimodal_cfg", "{\"width\":64}", UNSUPPORTED, "multimodal_cfg"},
    {"model_cfg.init_logit_bias", "-10", FORMAT,
     "tensor logit_bias: expected one value, found none"},
    {"model_cfg.init_logit_scale", "2.6", 0, NULL},
    {"model_cfg.vision_cfg", "\"ViT\"", FORMAT, "vision_cfg: expected an object"},
    {"model_cfg.vision_cfg.timm_model_name", "\"vit_base\"", UNSUPPORTED,
     "model_cfg.vision_cfg.timm_model_name: \"vit_base\" is not supported"},
    {"model_cfg.vision_cfg",
     "{\"timm_model_name\":\"vit_base_patch16_siglip_224\",\"timm_model_kwargs\":"
     "{\"qkv_bias\":false}}",
     UNSUPPORTED, "timm_model_kwargs.qkv_bias: false is not supported, expected null"},
    {"model_cfg.vision_cfg",
     "{\"timm_model_name\":\"vit_pe_core_base_patch16_224\",\"timm_model_kwargs\":"
     "{\"no_embed_class\":false}}",
     UNSUPPORTED, "timm_model_kwargs.no_embed_class: false is not supported, expected null"},
    {"model_cfg.vision_cfg",
     "{\"timm_model_name\":\"eva02_base_patch16_clip_224\",\"timm_model_kwargs\":"
     "{\"init_values\":0}}",
     UNSUPPORTED, "timm_model_kwargs.init_values: 0 is not supported, expected null"},
    {"model_cfg.vision_cfg",
     "{\"timm_model_name\":\"convnext_base\",\"timm_model_kwargs\":"
     "{\"conv_mlp\":false}}",
     UNSUPPORTED, "timm_model_kwargs.conv_mlp: false is not supported, expected null"},
    {"model_cfg.vision_cfg.attentional_pool", "true", FORMAT,
     "visual.attn_pool.attn.in_proj_bias: expected it, found none"},
    {"model_cfg.vision_cfg.attentional_pool", "\"parallel\"", UNSUPPORTED, "attentional_pool"},
    {"model_cfg.vision_cfg.attentional_pool", "false", 0, NULL},
    {"model_cfg.vision_cfg.pool_type", "\"none\"", UNSUPPORTED,
     "pool_type: \"none\" is not supported, expected tok or avg"},
    {"model_cfg.vision_cfg.pool_type", "\"avg\"", 0, NULL},
    {"model_cfg.vision_cfg.pool_type", "\"tok\"", 0, NULL},
    {"model_cfg.vision_cfg.ls_init_value", "0.1", FORMAT,
     "visual.transformer.resblocks.0.ls_1.gamma: expected shape [80], found none"},
    {"model_cfg.vision_cfg.ls_init_value", "null", 0, NULL},
    {"model_cfg.vision_cfg.no_ln_pre", "true", UNSUPPORTED, "visual.ln_pre.bias: not part of"},
    {"model_cfg.vision_cfg.input_patchnorm", "true", UNSUPPORTED, "input_patchnorm"},
    {"model_cfg.vision_cfg.pos_embed_type", "\"sin_cos_2d\"", UNSUPPORTED, "pos_embed_type"},
    {"model_cfg.vision_cfg.final_ln_after_pool", "true", 0, NULL},
    {"model_cfg.vision_cfg.output_tokens", "true", UNSUPPORTED, "output_tokens"},
    {"model_cfg.vision_cfg.patch_dropout", "0.5", 0, NULL},
    {"model_cfg.vision_cfg.act_kwargs", "{\"approximate\":\"tanh\"}", 0, NULL},
    {"model_cfg.vision_cfg.norm_kwargs", "{\"eps\":1e-6}", 0, NULL},
    {"model_cfg.vision_cfg.norm_kwargs", "{\"bias\":true}", UNSUPPORTED,
     "vision_cfg.norm_kwargs.bias"},
    {"model_cfg.vision_cfg.norm_kwargs", "{\"bias\":false}", UNSUPPORTED,
     "vision_cfg.norm_kwargs.bias: false is not supported, expected null"},
    {"model_cfg.vision_cfg.qk_norm", "true", UNSUPPORTED, "qk_norm"},
    {"model_cfg.vision_cfg.some_future_key", "1", UNSUPPORTED,
     "some_future_key: 1 is not supported"},
    {"model_cfg.vision_cfg.image_size", "[32,32]", 0, NULL},
    {"model_cfg.vision_cfg.image_size", "[32,64]", UNSUPPORTED,
     "[32,64] is not supported, expected a square"},
    {"model_cfg.vision_cfg.image_size", "[32]", FORMAT, "image_size: expected an integer, or two"},
    {"model_cfg.vision_cfg.head_width", "33", FORMAT,
     "width 80 is not a multiple of head_width 33"},
    {"model_cfg.vision_cfg.mlp_ratio", "4", FORMAT,
     "mlp.c_fc.weight: expected shape [320,80], found [188,80]"},
    {"model_cfg.vision_cfg.mlp_ratio", "-1", FORMAT, "mlp_ratio: expected a number"},
    {"model_cfg.vision_cfg.mlp_ratio", "1000", FORMAT, "MLP width: expected 1 to 65536"},
    {"model_cfg.vision_cfg.width", "2147483647", FORMAT, "vision_cfg: width 2147483647 is not"},
    {"model_cfg.vision_cfg.layers", "4", FORMAT, "visual.transformer.resblocks.3.ln_1.weight"},
    {"model_cfg.vision_cfg.layers", "2", UNSUPPORTED,
     "visual.transformer.resblocks.2.attn.in_proj_bias"},
    {"model_cfg.text_cfg.hf_model_name", "\"roberta-base\"", FORMAT,
     "bert.token_embedding.weight: expected shape [50265,768], found none"},
    {"model_cfg.text_cfg.hf_model_name", "\"google/mt5-base\"", UNSUPPORTED,
     "hf_model_name: \"google/mt5-base\" is not supported, expected an encoder that vkclip has"},
    {"model_cfg.text_cfg.hf_model_name", "\"facebook/nllb-200-distilled-600M\"", UNSUPPORTED,
     "hf_model_name: \"facebook/nllb-200-distilled-600M\" is not"},
    {"model_cfg.text_cfg.pool_type", "\"last\"", 0, NULL},
    {"model_cfg.text_cfg.pool_type", "\"none\"", UNSUPPORTED,
     "expected argmax, eos, first or last"},
    {"model_cfg.text_cfg.pool_type", "\"eos\"", FORMAT, "eos_id: expected the id of the pool_type"},
    {"model_cfg.text_cfg.proj_bias", "true", FORMAT,
     "text_projection.weight: expected shape [56,48]"},
    {"model_cfg.text_cfg.act_kwargs", "{\"approximate\":\"tanh\"}", 0, NULL},
    {"model_cfg.text_cfg.act_kwargs", "{\"approximate\":\"erf\"}", UNSUPPORTED, "tanh or none"},
    {"model_cfg.text_cfg.act_kwargs", "{\"negative_slope\":1}", UNSUPPORTED, "act_kwargs.negative"},
    {"model_cfg.text_cfg.proj_type", "\"mlp\"", UNSUPPORTED, "proj_type: \"mlp\" is not supported"},
    {"model_cfg.text_cfg.proj_type", "\"linear\"", 0, NULL},
    {"model_cfg.text_cfg.embed_cls", "true", UNSUPPORTED, "embed_cls"},
    {"model_cfg.text_cfg.no_causal_mask", "true", 0, NULL},
    {"model_cfg.text_cfg.heads", "5", FORMAT, "width 48 is not a multiple of its 5 heads"},
    {"model_cfg.text_cfg.context_length", NULL, FORMAT,
     "positional_embedding: expected shape [77,48]"},
    {"preprocess_cfg", "null", 0, NULL},
    {"preprocess_cfg.interpolation", "\"bilinear\"", 0, NULL},
    {"preprocess_cfg.interpolation", "\"lanczos\"", UNSUPPORTED, "interpolation: \"lanczos\""},
    {"preprocess_cfg.resize_mode", "\"squash\"", 0, NULL},
    {"preprocess_cfg.resize_mode", "\"crop\"", UNSUPPORTED, "preprocess_cfg.resize_mode"},
    {"preprocess_cfg.fill_color", "256", FORMAT, "fill_color: expected a number from 0 to 255"},
    {"preprocess_cfg.size", "224", FORMAT, "size: expected vision_cfg.image_size, found 224"},
    {"preprocess_cfg.size", "[32,32]", 0, NULL},
    {"preprocess_cfg.std", "[1,1]", FORMAT, "preprocess_cfg.std"},
};

/* A text tower that is an XLM-R, with sizes that its encoder's name does not tell. */
static const char bert_config[] =
    "{\"model_cfg\": {\"embed_dim\": 32, \"vision_cfg\": {\"image_size\": 8, \"patch_size\": 4, "
    "\"width\": 64, \"layers\": 1}, \"text_cfg\": {\"hf_model_name\": \"xlm-roberta-base\", "
    "\"hf_pooler_type\": \"mean_pooler\", \"hf_model_config\": {\"hidden_size\": 64, "
    "\"intermediate_size\": 96, \"num_hidden_layers\": 2, \"num_attention_heads\": 2, "
    "\"max_position_embeddings\": 20, \"vocab_size\": 30}}}, \"preprocess_cfg\": {}}";

#define TEXT "model_cfg.text_cfg."
static const struct edit bert_edits[] = {
    {TEXT "context_length", "5", 0, NULL},
    {TEXT "hf_pooler_type", NULL, 0, NULL},
    {TEXT "hf_proj_type", "\"mlp\"", 0, NULL},
    {TEXT "hf_model_config.layer_norm_eps", "1e-6", 0, NULL},
    {TEXT "hf_tokenizer_name", "\"xlm-roberta-base\"", 0, NULL},
    {TEXT "hf_pooler_type", "\"max_pooler\"", UNSUPPORTED,
     "hf_pooler_type: \"max_pooler\" is not supported, expected mean_pooler, cls_pooler or"},
    {TEXT "hf_pooler_type", "\"cls_pooler\"", FORMAT,
     "bert.pooler.weight: expected shape [64,64], found none"},
    {TEXT "hf_proj_type", "\"linear\"", FORMAT,
     "bert.proj.weight: expected shape [32,64], found none"},
    {TEXT "hf_proj_type", "\"conv\"", UNSUPPORTED, "hf_proj_type: \"conv\" is not supported"},
    {TEXT "hf_proj_type", "null", FORMAT, "hf_proj_type: expected mlp or linear, because"},
    {TEXT "pool_type", "\"last\"", UNSUPPORTED, "text_cfg.pool_type"},
    {TEXT "hf_model_name", "\"bert-base-uncased\"", 0, NULL},
    {TEXT "hf_model_config.hidden_act", "\"relu\"", UNSUPPORTED,
     "hidden_act: \"relu\" is not supported, expected gelu"},
    {TEXT "hf_model_config.position_embedding_type", "\"relative_key\"", UNSUPPORTED,
     "position_embedding_type: \"relative_key\" is not supported, expected absolute"},
    {TEXT "hf_model_config.pad_token_id", "-1", FORMAT,
     "id of padding: expected 0 to 29, found -1"},
    {TEXT "hf_model_config.num_attention_heads", "5", FORMAT, "not a multiple of its 5 heads"},
    {TEXT "hf_model_config.max_position_embeddings", "2", FORMAT,
     "context: expected 1 to 8192, found 0"},
    {TEXT "hf_model_config.max_position_embeddings", "19", FORMAT,
     "bert.positional_embedding: expected shape [19,64], found [20,64]"},
    {TEXT "hf_model_config.num_hidden_layers", "1", UNSUPPORTED,
     "bert.block.1.attn.in_proj_bias: not part of"},
};

static void checks_bert_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bert_edits); i++) {
        const struct edit *edit = &bert_edits[i];
        char *folder = scratch_folder(), *arch = scratch_path(folder, "open_clip_config.json");
        char *model = scratch_path(folder, "model");
        scratch_text(folder, "open_clip_config.json", bert_config);
        assert_int_equal(vkclip_init_model(arch, 1, model, NULL, NULL), VKCLIP_OK);
        edit_json(model, "open_clip_config.json", edit->path, edit->value);
        if (edit->error)
            assert_failed(open_close(model, NULL), edit->error, edit->message);
        else if (open_close(model, NULL))
            fail_msg("%s = %s: %s", edit->path, edit->value, vkclip_last_error());
        free(model);
        free(arch);
        scratch_remove(folder);
    }
}

static void checks_openclip_values(void **state)
{
    (void)state;
    check_edits(OPENCLIP, "open_clip_config.json", openclip_edits, ARRAY_COUNT(openclip_edits));
}

static void refuses_files_that_are_not_json(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "line 1"},
        {"{", "line 1"},
        {"{\"a\":1,}\n", "line 1"},
        {"{\"projection_dim\": NaN}", "projection_dim: expected an integer from 1 to 2147483647, "
                                      "found \"NaN\""},
        {"{\n\"projection_dim\": Nan}", "line 2"},
        {"{\"projection_dim\": 1e999}", "real number overflow"},
        {"{\"projection_dim\": 99999999999999999999}", "too big integer"},
        {"{\"a\":1,\"a\":2}", "duplicate object key"},
        {"{\"\xff\":1}", "unable to decode byte"},
        {"[1,2]", "expected a JSON object"},
        {"7", "line 1"},
        {"{} x", "end of file expected"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char *folder = good_folder(HF);
        replace(folder, "config.json", bad[i].text);
        assert_failed(open_close(folder, NULL), VKCLIP_EFORMAT, bad[i].message);
        assert_non_null(strstr(vkclip_last_error(), "config.json: "));
        scratch_remove(folder);
    }
    char *folder = good_folder(HF), *deep = malloc(200001);
    assert_non_null(deep);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    replace(folder, "preprocessor_config.json", deep);
    assert_failed(open_close(folder, NULL), VKCLIP_EFORMAT, "maximum parsing depth");
    free(deep);
    deep = calloc(1, (1 << 20) + 2);
    memset(deep, ' ', (1 << 20) + 1);
    replace(folder, "preprocessor_config.json", deep);
    assert_failed(open_close(folder, NULL), VKCLIP_EFORMAT, "expected at most 1048576");
    free(deep);
    scratch_remove(folder);
}

/* The names that transformers has for each activation that CLIP's towers compute. */
static void maps_all_names_of_activations(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum vkclip_activation activation;
    } cases[] = {
        {"quick_gelu", VKCLIP_ACTIVATION_QUICK_GELU},
        {"gelu", VKCLIP_ACTIVATION_GELU},
        {"gelu_python", VKCLIP_ACTIVATION_GELU},
        {"gelu_new", VKCLIP_ACTIVATION_GELU_TANH},
        {"gelu_fast", VKCLIP_ACTIVATION_GELU_TANH},
        {"gelu_accurate", VKCLIP_ACTIVATION_GELU_TANH},
        {"gelu_python_tanh", VKCLIP_ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", VKCLIP_ACTIVATION_GELU_TANH},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *folder = good_folder(HF), *value = string_format("\"%s\"", cases[i].name);
        struct config config;
        struct weights *weights;
        edit_json(folder, "config.json", "vision_config.hidden_act", value);
        assert_int_equal(checkpoint_open(folder, NULL, &config, &weights), 0);
        assert_int_equal(config.image.activation, cases[i].activation);
        config_close(&config);
        weights_close(&weights);
        free(value);
        scratch_remove(folder);
    }
}

/* Python's json module writes and reads NaN and Infinity, which matter only where a value is used.
 */
static void reads_what_python_writes(void **state)
{
    (void)state;
    char *folder = good_folder(HF), *path = scratch_path(folder, "config.json");
    json_t *root = json_load_file(path, 0, NULL);
    char *text = json_dumps(root, 0);
    char *harmless = string_format("{\"a\": NaN, \"b\": \"NaN\", "
                                   "\"x\": [Infinity, -Infinity], %s",
                                   text + 1);
    replace(folder, "config.json", harmless);
    if (open_close(folder, NULL))
        fail_msg("%s", vkclip_last_error());
    json_object_del(root, "projection_dim");
    free(text);
    text = json_dumps(root, 0);
    char *used = string_format("{\"projection_dim\": -Infinity, %s", text + 1);
    replace(folder, "config.json", used);
    assert_failed(open_close(folder, NULL), FORMAT,
                  "projection_dim: expected an integer from 1 to 2147483647, found \"-Infinity\"");
    free(text), free(harmless), free(used), free(path);
    json_decref(root);
    scratch_remove(folder);
}

/* A T5's config.json, and what opening the model beside it says. Of it the encoder counts, and its
 * shapes must be those of the weights. */
static void checks_t5_values(void **state)
{
    (void)state;
    static const char good[] = "{\"model_type\":\"t5\",\"d_model\":32,\"d_kv\":16,\"num_heads\":3,"
                               "\"d_ff\":48,\"num_layers\":2,\"vocab_size\":1120,"
                               "\"feed_forward_proj\":\"gated-gelu\",\"num_decoder_layers\":9}";
    static const struct edit edits[] = {
        {"num_decoder_layers", "7", 0, NULL},
        {"relative_attention_num_buckets", "32", 0, NULL},
        {"model_type", "\"mt5\"", 0, NULL},
        {"model_type", "\"umt5\"", FORMAT, "encoder.block.1.attn.relative.weight: expected shape"},
        {"model_type", "\"longt5\"", UNSUPPORTED, "t5, mt5 or umt5, found longt5"},
        {"feed_forward_proj", "\"gated-silu\"", UNSUPPORTED,
         "feed_forward_proj: \"gated-silu\" is not supported, expected relu or gated-gelu"},
        {"feed_forward_proj", NULL, FORMAT,
         "mlp.c_fc.weight: expected shape [48,32], found [96,32]"},
        {"relative_attention_num_buckets", "64", UNSUPPORTED, "relative_attention_num_buckets: 64"},
        {"relative_attention_max_distance", "8", UNSUPPORTED, "relative_attention_max_distance: 8"},
        {"d_kv", NULL, FORMAT, "attn.in_proj_weight: expected shape [576,32], found [144,32]"},
        {"d_kv", "2000", FORMAT, "head width: expected 1 to 1024, found 2000"},
        {"num_heads", "4", FORMAT, "encoder.block.0.attn.relative.weight: expected shape [32,4]"},
        {"num_layers", "3", FORMAT, "encoder.block.2.ln_1.weight: expected shape [32], found none"},
        {"num_layers", "1", UNSUPPORTED, "encoder.block.1"},
        {"vocab_size", "1121", FORMAT, "token_embedding.weight: expected shape [1121,32]"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(edits); i++) {
        char *folder = scratch_folder();
        link_golden(folder, "conditioning/t5/single", "t5xxl_fp16.safetensors",
                    "model.safetensors");
        scratch_text(folder, "config.json", good);
        edit_json(folder, "config.json", edits[i].path, edits[i].value);
        if (edits[i].error)
            assert_failed(open_close(folder, NULL), edits[i].error, edits[i].message);
        else if (open_close(folder, NULL))
            fail_msg("%s = %s: %s", edits[i].path, edits[i].value, vkclip_last_error());
        scratch_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_hugging_face_values),
        cmocka_unit_test(checks_preprocessor_values),
        cmocka_unit_test(checks_openclip_values),
        cmocka_unit_test(checks_bert_values),
        cmocka_unit_test(checks_t5_values),
        cmocka_unit_test(refuses_files_that_are_not_json),
        cmocka_unit_test(reads_what_python_writes),
        cmocka_unit_test(maps_all_names_of_activations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
