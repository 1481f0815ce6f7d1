/* SPDX-License-Identifier: MIT
 *
 * Lets requests in, in the order in which they came, while what they hold together stays within a
 * limit.
 */
#ifndef VKCLIP_SERVER_GATE_H
#define VKCLIP_SERVER_GATE_H

#include "server/request.h"

struct gate;

int gate_open(size_t most, struct gate **gate);
/* Nobody may be in. */
void gate_close(struct gate **gate);
/* Waits until `amount` more fits, but not beyond the request's time (ECANCELLED). What alone is
 * more than the limit comes in when nobody else is. */
int gate_enter(struct gate *gate, struct request *request, size_t amount);
void gate_leave(struct gate *gate, size_t amount);

#endif
