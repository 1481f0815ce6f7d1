/* SPDX-License-Identifier: MIT
 *
 * OpenCLIP's open_clip_config.json. What a file does not say gets the default of CLIPVisionCfg and
 * CLIPTextCfg. Keys are refused by name unless they are known to be without effect here, or ask for
 * nothing; sizes are checked when the configuration is complete.
 */
#ifndef VKCLIP_CHECKPOINT_OPENCLIP_H
#define VKCLIP_CHECKPOINT_OPENCLIP_H

#include "model/config.h"

/* Reads the towers and the preparation of pictures. */
int openclip_read(const char *path, struct config *config);

#endif
