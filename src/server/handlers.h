/* SPDX-License-Identifier: MIT
 *
 * The functions of the rows in routes.c, one group per file.
 */
#ifndef VKCLIP_SERVER_HANDLERS_H
#define VKCLIP_SERVER_HANDLERS_H

#include "server/request.h"

/* status.c */
void handle_health(struct request *request);
void handle_metrics(struct request *request);
/* openai.c */
void handle_openai_models(struct request *request);
void handle_openai_model(struct request *request);
void handle_openai_embeddings(struct request *request);
/* api_search.c, picture.c and api_index.c */
void handle_search(struct request *request);
void handle_picture(struct request *request);
void handle_thumbnail(struct request *request);
void handle_preview(struct request *request);
void handle_original(struct request *request);
void handle_index(struct request *request);
void handle_index_update(struct request *request);
void handle_index_stop(struct request *request);
void handle_index_failures(struct request *request);
/* immich.c */
void handle_immich_ping(struct request *request);
void handle_immich_predict(struct request *request);
/* api_model.c and api_duplicates.c */
void handle_classify(struct request *request);
void handle_similarity(struct request *request);
void handle_duplicates(struct request *request);
void handle_forget_duplicates(struct request *request);
/* page.c */
void handle_page(struct request *request);
void handle_openapi(struct request *request);
/* session.c */
void handle_api(struct request *request);
void handle_session(struct request *request);
void handle_end_session(struct request *request);
/* knn.c */
void handle_knn_indices(struct request *request);
void handle_knn(struct request *request);
void handle_knn_metadata(struct request *request);
/* api_archive.c */
void handle_archive(struct request *request);

#endif
