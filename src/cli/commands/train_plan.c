/* SPDX-License-Identifier: MIT
 *
 * vkclip train --dry-run: the steps and the memory of a run.
 */
#include "cli/commands/train.h"
#include "cli/log.h"
#include "cli/print.h"

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static json_t *pack_memory(const struct vkclip_trainer_memory *memory)
{
    const uint64_t total =
        memory->weights + memory->gradients + memory->moments + memory->activations;
    return json_pack("{sI sI sI sI sI sI}", "weights", (json_int_t)memory->weights, "gradients",
                     (json_int_t)memory->gradients, "moments", (json_int_t)memory->moments,
                     "activations", (json_int_t)memory->activations, "least_activations",
                     (json_int_t)memory->least, "total", (json_int_t)total);
}

static bool print_json(const struct vkclip_trainer_info *info, bool mixed,
                       const struct vkclip_trainer_memory memory[2])
{
    json_t *json = json_pack(
        "{sI sI sI sI sI sI sI sI sI ss so so}", "parameters", (json_int_t)info->parameters,
        "trained_parameters", (json_int_t)info->trained_parameters, "pictures",
        (json_int_t)info->samples, "captions", (json_int_t)info->captions, "labels",
        (json_int_t)info->labels, "batch", (json_int_t)info->batch, "batch_size",
        (json_int_t)info->batch_size, "epoch_steps", (json_int_t)info->epoch_steps, "steps",
        (json_int_t)info->steps, "precision", mixed ? "f16" : "f32", "memory",
        pack_memory(&memory[0]), "memory_checkpoint_activations", pack_memory(&memory[1]));
    return cli_print_json(json, stdout);
}

static void print_memory(const char *name, const struct vkclip_trainer_memory *memory)
{
    printf("%-26s %10.1f %10.1f %10.1f %12.1f %10.1f %10.1f\n", name, mib(memory->weights),
           mib(memory->gradients), mib(memory->moments), mib(memory->activations),
           mib(memory->least),
           mib(memory->weights + memory->gradients + memory->moments + memory->activations));
}

static void print_text(const struct vkclip_trainer_info *info, bool mixed,
                       const struct vkclip_trainer_memory memory[2])
{
    printf("%llu parameters, %llu of them trained\n", (unsigned long long)info->parameters,
           (unsigned long long)info->trained_parameters);
    if (info->samples)
        printf("%llu pictures, %llu captions", (unsigned long long)info->samples,
               (unsigned long long)info->captions);
    else
        printf("%llu prepared batches", (unsigned long long)info->epoch_steps);
    if (info->labels)
        printf(", %llu labels", (unsigned long long)info->labels);
    printf("\n%llu steps of %u pairs, %u at once; %llu steps per pass over the data\n\n",
           (unsigned long long)info->steps, info->batch, info->batch_size,
           (unsigned long long)info->epoch_steps);
    printf("%-26s %10s %10s %10s %12s %10s %10s\n",
           mixed ? "MiB, precision f16" : "MiB, precision f32", "weights", "gradients", "moments",
           "activations", "at least", "total");
    print_memory("activations kept", &memory[0]);
    print_memory("--checkpoint-activations", &memory[1]);
}

int train_print_plan(const struct cli_session *session, const struct vkclip_trainer *trainer,
                     bool mixed)
{
    struct vkclip_trainer_info info = {.size = sizeof(info)};
    struct vkclip_trainer_memory memory[2] = {{.size = sizeof(memory[0])},
                                              {.size = sizeof(memory[1])}};
    int error = vkclip_get_trainer_info(trainer, &info);
    for (int i = 0; i < 2 && !error; i++)
        error = vkclip_measure_trainer(trainer, i == 1, &memory[i]);
    if (error)
        return cli_fail_library(session, CLI_FAILED);
    if (session->common.json)
        return print_json(&info, mixed, memory) ? CLI_DONE : CLI_FAILED;
    print_text(&info, mixed, memory);
    return CLI_DONE;
}
