/* SPDX-License-Identifier: MIT
 *
 * Reads OpenCLIP's open_clip_config.json. A missing value gets the default of CLIPVisionCfg and
 * CLIPTextCfg. Refuses a key by name unless it is known to have no effect here, or its value turns
 * its feature off; sizes are checked when the configuration is complete.
 */
#ifndef VKCLIP_CHECKPOINT_OPENCLIP_H
#define VKCLIP_CHECKPOINT_OPENCLIP_H

#include "model/config.h"

/* Reads the towers and how pictures are prepared. */
int openclip_read(const char *path, struct config *config);

#endif
