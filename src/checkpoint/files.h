/* SPDX-License-Identifier: MIT
 *
 * Finds the files of a checkpoint: the weights at the path that a user gives, and the configuration
 * and vocabulary beside them. Looks only at names, except that it reads a config.json which could
 * belong to a model other than CLIP, and the class in tokenizer_config.json beside a spiece.model.
 * Refuses unsupported formats by name.
 */
#ifndef VKCLIP_CHECKPOINT_FILES_H
#define VKCLIP_CHECKPOINT_FILES_H

#include "vkclip.h"

#define FILES_PATH_SIZE 4096

/* Writes the folder that contains a file, "." if its path has none. */
void files_folder(const char *path, char folder[FILES_PATH_SIZE]);

/* Tells whether a folder has a file of that name, and writes its path to `path`. The folder "" is
 * that of a source which is no path: it has no files. */
bool files_find(const char *folder, const char *name, char path[FILES_PATH_SIZE]);

/* Finds the file of weights, or the index of several files, at a path: the path itself if it is a
 * file. In a folder Hugging Face's files come first, then OpenCLIP's, then the only file of
 * weights, then the folder that modules.json of sentence-transformers names. */
int files_find_weights(const char *path, char file[FILES_PATH_SIZE]);

/* Finds the file that says how Hugging Face's models prepare pictures. */
bool files_find_preprocessor(const char *folder, char path[FILES_PATH_SIZE]);

/* Finds the vocabulary beside the weights in `folder`, or in the sibling folder that diffusers
 * uses: tokenizer_2 for the weights in text_encoder_2. */
bool files_find_vocabulary(const char *folder, enum vkclip_family family,
                           char path[FILES_PATH_SIZE]);

#endif
