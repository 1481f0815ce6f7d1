/* SPDX-License-Identifier: MIT
 *
 * The search for duplicates, which compares all pictures and takes the device for long. It runs on
 * a thread of its own, and longer than the requests that wait for it, so that a client gets the
 * groups of a large index by asking again.
 */
#ifndef VKCLIP_SERVER_COMPARISON_H
#define VKCLIP_SERVER_COMPARISON_H

struct comparison;
struct request;
struct result_list;
struct server;

/* The server has an index, and its `results`. */
int comparison_open(struct server *server, struct comparison **comparison);
/* Ends the search that runs. No request may wait for it. */
void comparison_close(struct comparison **comparison);
/* Gives the groups of pictures that are at most `distance` apart, in a list that
 * server_results_release gives back. One search runs at a time. *list is NULL if it has not ended
 * after `seconds`, or when the time for the request is over: then the search goes on, *share is how
 * much of it is done, and the next request of this distance gets its result. Errors: those of
 * vkclip_find_duplicates, ECANCELLED (the client is gone, or the server stops). */
int comparison_find(struct comparison *comparison, struct request *request, double distance,
                    double seconds, const struct result_list **list, double *share);

#endif
