/* SPDX-License-Identifier: MIT
 *
 * One part of a large set of inputs, as a task of a job of many computes it, in the folders that
 * clip-retrieval reads: img_emb/img_emb_K.npy (or text_emb/text_emb_K.npy) in fp16, and
 * metadata/metadata_K.parquet, whose rows belong to each other. stats/stats_K.json is written last.
 */
#ifndef VKCLIP_CLI_COMMANDS_SHARD_H
#define VKCLIP_CLI_COMMANDS_SHARD_H

#include "cli/commands/results.h"

/* Shard `index` of `count` has every input whose position leaves `index` when divided by `count`.
 */
struct shard {
    uint32_t index, count;
    const char *folder;
    bool texts;           /* else pictures */
    bool overwrite;       /* The shard is computed again although it is complete. */
    char identity[512];   /* what all shards of a folder must have been made with */
    uint64_t inputs_hash; /* a hash of the names of the shard's inputs */
};

/* Reads "I/N", or with "auto" the variables of Slurm, of MPI and of torchrun. All that return an
 * int return an enum cli_exit, after they have printed what failed. */
int shard_parse(const struct cli_session *session, const char *text, struct shard *shard);
/* Leaves only the inputs of the shard. */
void shard_select(struct shard *shard, struct cli_inputs *inputs);
/* Makes the folders. *done is true if the shard is complete and not to be overwritten.
 * Fails if other shards were made with another number of shards, another model or other options. */
int shard_open(struct shard *shard, bool *done);
/* Makes a shard that is to be overwritten incomplete. Its caller has locked it. */
void shard_remove_record(const struct shard *shard);
/* Returns the path where results are kept until the shard is complete, as a new string. */
char *shard_part_path(const struct shard *shard);
int shard_write(const struct shard *shard, const struct results *results);

#endif
