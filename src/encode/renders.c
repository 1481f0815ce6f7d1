/* SPDX-License-Identifier: MIT
 *
 * Writes pictures to their places in a batch by commands of the device, which come before those of
 * the batch in the same queue. Refuses devices that vkclip opened by itself, where the application
 * has no pictures.
 */
#include "encode/renders.h"
#include "base/error.h"
#include "encode/call.h"
#include "encode/staging.h"

struct render_call {
    struct call call; /* comes first, because callbacks of struct batches get a pointer to it */
    const struct vkclip_vulkan_image *images;
    const struct vkclip_vulkan_buffer *buffers;
};

static int prepare_render(const struct render_call *call, size_t item, struct replica *replica,
                          const struct replica_plan *plan, uint32_t place)
{
    const size_t size = call->call.model->spec.config.image_size;
    struct gpu_range target = plan_given(plan->plan);
    struct gpu_picture picture;
    struct staging *staging = NULL;
    int error = gpu_picture_read(replica_gpu(replica), call->images, call->buffers, item, &picture);
    if (!error)
        error = replica_staging(replica, &staging);
    target.size = 3 * size * size * sizeof(float);
    target.offset += place * target.size;
    return error ? error : staging_prepare(staging, &picture, target);
}

/* Is the write function of struct batches. A device that fails does not fail for one picture. */
static int write_render(void *user, struct replica *replica, const struct replica_plan *plan,
                        size_t item, uint32_t place, unsigned thread)
{
    struct render_call *call = user;
    (void)thread;
    int error = prepare_render(call, item, replica, plan, place);
    if (error != VKCLIP_EINVALID && error != VKCLIP_EUNSUPPORTED)
        return error;
    error = call_fail_item(&call->call, item, error);
    return error ? error : BATCHES_LEFT_OUT;
}

/* The commands of pictures are done when those of their batch are. */
static int read_renders(void *user, const struct replica_plan *plan, size_t first, size_t number)
{
    const struct render_call *call = user;
    struct staging *staging = NULL;
    size_t written = 0;
    for (size_t i = 0; i < number; i++)
        written += !call_has_failed(&call->call, first + i);
    int error = replica_staging(call->call.model->replicas[0], &staging);
    if (error)
        return error;
    staging_release(staging, written);
    return call_read(&call->call, plan, first, NULL, number);
}

static int deliver_renders(void *user, size_t first, size_t number)
{
    struct render_call *call = user;
    return call_deliver(&call->call, first, number);
}

static int report_renders(void *user, size_t done)
{
    struct render_call *call = user;
    return call_report(&call->call, done);
}

static int check_device(const struct vkclip_model *model)
{
    if (gpu_is_lent(model->device->gpus[0]))
        return VKCLIP_OK;
    return error_fail(VKCLIP_EINVALID,
                      "pictures on a device: expected a model on the application's device "
                      "(vkclip_open_vulkan_device)");
}

/* After an error some pictures may still be read, which the caller may free next. */
static void release_all(const struct vkclip_model *model)
{
    struct staging *staging = NULL;
    if (!replica_staging(model->replicas[0], &staging))
        staging_release(staging, SIZE_MAX);
}

int renders_encode(struct vkclip_model *model, const struct vkclip_vulkan_image *images,
                   const struct vkclip_vulkan_buffer *buffers, size_t count,
                   const struct vkclip_encode_params *params, float *embeds)
{
    struct render_call call = {.images = images, .buffers = buffers};
    int error =
        call_open(model, TOWER_IMAGE, images || buffers, count, 0, params, embeds, &call.call);
    if (!error)
        error = check_device(model);
    if (!error) {
        const struct batches_group all = {.end = count};
        struct batches work = {.tower = TOWER_IMAGE,
                               .count = count,
                               .groups = &all,
                               .on_device = true,
                               .window = call.call.params.item ? call.call.places : 0,
                               .write = write_render,
                               .read = read_renders,
                               .deliver = deliver_renders,
                               .progress = report_renders};
        error = call_run(&call.call, &work);
        release_all(model);
    }
    call_close(&call.call);
    return error;
}
