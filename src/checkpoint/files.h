/* SPDX-License-Identifier: MIT
 *
 * Which files a checkpoint consists of: the weights at the path that a user gives, and the
 * configuration and vocabulary beside them. Looks at names only, except that a config.json is read
 * if it could be that of a model other than CLIP. Formats that are not supported are refused by
 * name.
 */
#ifndef VKCLIP_CHECKPOINT_FILES_H
#define VKCLIP_CHECKPOINT_FILES_H

#include "vkclip.h"

#define FILES_PATH_SIZE 4096

/* The folder that a file lies in, "." if its path has none. */
void files_folder(const char *path, char folder[FILES_PATH_SIZE]);

/* Whether a folder has a file of that name; its path goes to `path`. */
bool files_find(const char *folder, const char *name, char path[FILES_PATH_SIZE]);

/* The file of weights, or the index of several files, at a path: the path itself if it is a file.
 * In a folder Hugging Face's files come first, then OpenCLIP's, then the only file of weights. */
int files_find_weights(const char *path, char file[FILES_PATH_SIZE]);

/* The file that says how Hugging Face's models prepare pictures. */
bool files_find_preprocessor(const char *folder, char path[FILES_PATH_SIZE]);

/* The vocabulary beside the weights in `folder`, or where diffusers puts it: for the folder
 * text_encoder_2 in tokenizer_2 beside it. */
bool files_find_vocabulary(const char *folder, enum vkclip_family family,
                           char path[FILES_PATH_SIZE]);

#endif
